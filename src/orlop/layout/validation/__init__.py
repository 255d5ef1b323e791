"""Whether a layout is what the image-spec says, rule by rule.

`rules` lists them; `walk` goes through the layout.
"""

from orlop.layout.validation.rule import Rule, Severity, Violation
from orlop.layout.validation.rules import RULES
from orlop.layout.validation.walk import validate

__all__ = ["RULES", "Rule", "Severity", "Violation", "validate"]
