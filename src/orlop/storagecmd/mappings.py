"""ID mappings of users that may give IDs to containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import NotFoundError
from orlop.storagecmd.forms import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.idranges import IdSpan


def subordinate(user: str, group: str) -> tuple[list[str], list[str]]:
    """All IDs of a user and of a group, as ranges one after another from 0 on.

    Raises:
        NotFoundError: One of them has none.
    """
    from orlop._sys.subids import SUBGID, SUBUID, subordinate_ids

    found = {}
    for what, name, path in (("user", user, SUBUID), ("group", group, SUBGID)):
        try:
            found[what] = subordinate_ids(name)
        except NotFoundError as error:
            raise NotFoundError(
                f"no sub{what[0]}id ranges found for {what} {quoted(name)} in {path}",
                hint=error.hint,
            ) from None
    return _ranges(found["user"].uids), _ranges(found["group"].gids)


def _ranges(spans: Iterable[IdSpan]) -> list[str]:
    ranges, first = [], 0
    for span in spans:
        ranges.append(f"{first}:{span.first}:{span.size}")
        first += span.size
    return ranges
