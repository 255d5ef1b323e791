"""Labels: what users note about records, and filters and field paths speak of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError, LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LABEL_SIZE: Final = 4096
MAX_LABELS: Final = 65536


def check_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that are kept: all but those without a value, which mean that there is none.

    Raises:
        InvalidError: A key is empty or has a NUL in it, or a text is not UTF-8.
        LimitExceededError: There are too many, or one is too long.
    """
    kept = {key: value for key, value in labels.items() if value}
    if len(kept) > MAX_LABELS:
        message = f"there are {len(kept)} labels"
        raise LimitExceededError(message, limit="MAX_LABELS", value=MAX_LABELS)
    for key, value in kept.items():
        _check_label(key, value)
    return kept


def labels_value(labels: Mapping[str, str], path: tuple[str, ...]) -> str | None:
    """The value of the label that a field path names, or None; `labels.a.b` is the label `a.b`.

    Args:
        labels: The labels of a record.
        path: The field path, with `labels` as its first name.
    """
    return labels.get(path[1] if len(path) == 2 else ".".join(path[1:]))


def _check_label(key: str, value: str) -> None:
    if not key or "\0" in key:
        raise InvalidError(f"a label's key {'holds a NUL' if key else 'is empty'}", where="labels")
    try:
        size = len(key.encode()) + len(value.encode())
    except UnicodeEncodeError:
        raise InvalidError("a label is not UTF-8", where=f"labels.{key[:50]!a}") from None
    if size > MAX_LABEL_SIZE:
        raise LimitExceededError(
            f"label {key[:50]!r} and its value have {size} bytes",
            limit="MAX_LABEL_SIZE",
            value=MAX_LABEL_SIZE,
        )
