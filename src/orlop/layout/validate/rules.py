"""All the rules, as one list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from orlop.layout.validate.content import BLOB, STACK, TARGET
from orlop.layout.validate.descriptors import DESCRIPTOR
from orlop.layout.validate.documents import CONFIG, INDEX, LAYOUT_FILE, MANIFEST
from orlop.layout.validate.found import FOUND
from orlop.layout.validate.layers import LAYER

if TYPE_CHECKING:
    from orlop.layout.validate.rule import Rule

RULES: Final[tuple[Rule[Any], ...]] = (
    *FOUND, *LAYOUT_FILE, *INDEX, *DESCRIPTOR, *MANIFEST, *CONFIG, *TARGET, *STACK, *BLOB, *LAYER,
)  # fmt: skip
"""Every sentence of the specification that `validate` checks, and the notes that it gives."""
