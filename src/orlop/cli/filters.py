"""Filters that somebody has typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def check_filters(filters: Collection[str], fields: Collection[str]) -> None:
    """Succeed if these are filters over these fields, whether or not there is a store to ask.

    The library takes a field that it does not know for one that is absent; here it is misspelt.

    Args:
        filters: As they were typed.
        fields: As for `require_fields`.

    Raises:
        InvalidFilterError: One of them is no filter, or asks for another field.
        LimitExceededError: There are too many, or one is too long.
    """
    from orlop.filters import parse, require_fields

    require_fields(parse(*filters, now_ns=0), fields)
