"""Field paths: which fields of a record an update is about.

labels          all labels
labels.KEY      one of them; all behind the first dot is its key

One grammar for images, content and leases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.errors import InvalidError
from orlop.filters.labels import check_labels

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPath:
    """What an update is about.

    Attributes:
        field: The field.
        key: Which entry of the field, where it is a map and one entry is meant.
    """

    field: str
    key: str | None = None

    def __str__(self) -> str:
        return self.field if self.key is None else f"{self.field}.{self.key}"

    def update(self, old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
        """The map with what this path means taken from another.

        Args:
            old: The field as it is.
            new: The field as the update has it; an entry that is missing or empty is deleted.
        """
        if self.key is None:
            return dict(new)
        found = {key: value for key, value in old.items() if key != self.key}
        if value := new.get(self.key):
            found[self.key] = value
        return found


def parse_fieldpath(
    text: str, *, maps: Collection[str] = ("labels",), fields: Collection[str] = ()
) -> FieldPath:
    """Read a field path.

    Args:
        text: Such as `labels` or `labels.example.org/key`.
        maps: Fields that may be updated as a whole, or entry by entry.
        fields: Further fields that may be updated as a whole.

    Raises:
        InvalidError: The field cannot be updated.
    """
    field, dot, key = text.partition(".")
    if (field in maps and (key or not dot)) or (field in fields and not dot):
        return FieldPath(field=field, key=key if dot else None)
    known = ", ".join([*maps, *(f"{name}.KEY" for name in maps), *fields])
    raise InvalidError(
        f"{text[:100]!r} is no field that can be updated", hint=f"use one of {known}"
    )


def apply_labels(
    old: Mapping[str, str], new: Mapping[str, str], *fieldpaths: str
) -> dict[str, str]:
    """The labels after an update: those that the paths mean from `new`, the others from `old`.

    Args:
        old: The labels as they are.
        new: The labels as the update has them.
        fieldpaths: `labels` or `labels.KEY`; all labels where there is none. They are applied in
            their order.

    Raises:
        InvalidError: A path is another, or a key is empty.
        LimitExceededError: There are too many labels then, or one is too long.
    """
    labels = dict(old)
    for path in [parse_fieldpath(text) for text in fieldpaths or ("labels",)]:
        labels = path.update(labels, new)
    return check_labels(labels)
