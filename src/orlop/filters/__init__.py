"""One language to choose records of any kind, and field paths to say what of one is updated."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.filters.fieldpath import FieldPath, apply_labels, parse_fieldpath
    from orlop.filters.fields import require_fields
    from orlop.filters.filter import Adaptor, Filter, Operator, Selector, Value
    from orlop.filters.labels import MAX_LABEL_SIZE, check_labels, labels_value
    from orlop.filters.parser import parse
    from orlop.filters.pattern import literal_prefix
    from orlop.filters.quantity import Time
    from orlop.filters.quoting import quote
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.filters.fieldpath": "FieldPath apply_labels parse_fieldpath",
            "orlop.filters.fields": "require_fields",
            "orlop.filters.filter": "Adaptor Filter Operator Selector Value",
            "orlop.filters.labels": "MAX_LABEL_SIZE check_labels labels_value",
            "orlop.filters.parser": "parse",
            "orlop.filters.pattern": "literal_prefix",
            "orlop.filters.quantity": "Time",
            "orlop.filters.quoting": "quote",
        }
    )

__all__ = [
    "MAX_LABEL_SIZE", "Adaptor", "FieldPath", "Filter", "Operator", "Selector", "Time", "Value",
    "apply_labels", "check_labels", "labels_value", "literal_prefix", "parse", "parse_fieldpath",
    "quote", "require_fields",
]  # fmt: skip
