"""All the rules, as one list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from orlop.layout.validation.content import BLOB, STACK, TARGET
from orlop.layout.validation.descriptors import DESCRIPTOR
from orlop.layout.validation.documents import CONFIG, INDEX, LAYOUT_FILE, MANIFEST
from orlop.layout.validation.found import FOUND
from orlop.layout.validation.layers import LAYER

if TYPE_CHECKING:
    from orlop.layout.validation.rule import Rule

RULES: Final[tuple[Rule[Any], ...]] = (
    *FOUND, *LAYOUT_FILE, *INDEX, *DESCRIPTOR, *MANIFEST, *CONFIG, *TARGET, *STACK, *BLOB, *LAYER,
)  # fmt: skip
"""Every sentence of the specification that `validate` checks, and the notes that it gives."""
