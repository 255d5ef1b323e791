"""Fields: what filters may ask of the records of one kind.

A field is written as in a filter, such as `target.digest`; `labels.KEY` is one for every key. A
filter takes a field that it does not know for one that is absent, so that filters may be older or
newer than records; whoever asks a person for a filter can tell him of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidFilterError

if TYPE_CHECKING:
    from collections.abc import Collection

    from orlop.filters.filter import Filter

_ANY_KEY: Final = ".KEY"


def require_fields(meant: Filter, fields: Collection[str]) -> None:
    """Succeed if a filter asks for these fields alone.

    Args:
        meant: The filter.
        fields: Such as `name`, `target.digest` and `labels.KEY`.

    Raises:
        InvalidFilterError: It asks for another; `where` is its column.
    """
    for selector in (each for selectors in meant.alternatives for each in selectors):
        if not _is_known(selector.path, fields):
            raise InvalidFilterError(
                f"there is no field {'.'.join(selector.path)[:100]!r}",
                where=f"column {selector.column}",
                hint=f"use {', '.join(fields)}",
            )


def _is_known(path: tuple[str, ...], fields: Collection[str]) -> bool:
    return ".".join(path) in fields or (len(path) > 1 and f"{path[0]}{_ANY_KEY}" in fields)
