"""Whether a layout is what the image-spec says, rule by rule.

`rules` lists them; `walk` goes through the layout.
"""

from orlop.layout.validate.rule import Rule, Severity, Violation
from orlop.layout.validate.rules import RULES
from orlop.layout.validate.walk import validate

__all__ = ["RULES", "Rule", "Severity", "Violation", "validate"]
