"""One language to choose records of any kind, and field paths to say what of one is updated."""

from orlop.filters.fieldpath import FieldPath, apply_labels, parse_fieldpath
from orlop.filters.fields import require_fields
from orlop.filters.filter import Adaptor, Filter, Operator, Selector, Value
from orlop.filters.labels import MAX_LABEL_SIZE, check_labels, labels_value
from orlop.filters.parse import parse
from orlop.filters.pattern import literal_prefix
from orlop.filters.quantity import Time
from orlop.filters.quote import quote

__all__ = [
    "MAX_LABEL_SIZE", "Adaptor", "FieldPath", "Filter", "Operator", "Selector", "Time", "Value",
    "apply_labels", "check_labels", "labels_value", "literal_prefix", "parse", "parse_fieldpath",
    "quote", "require_fields",
]  # fmt: skip
