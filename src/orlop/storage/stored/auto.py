"""ID mappings chosen for containers: a range of subordinate IDs that no other container has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop._sys.subids import available_ids
from orlop.idmap import IdMapping
from orlop.idranges import IdSpan, allocate, ranges_of
from orlop.metadata import Layers
from orlop.storage.layers.mapping import decode_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.idmap import IdRange
    from orlop.metadata import Transaction

DEFAULT_SIZE: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoIds:
    """How IDs are chosen for a container.

    Attributes:
        size: How many users and groups it gets.
        user: Whose subordinate IDs they are, by name or number; those of `containers`, or of this
            user, where None.
    """

    size: int = DEFAULT_SIZE
    user: str | None = None


def choose_ids(tx: Transaction, wanted: AutoIds) -> IdMapping:
    """A mapping of IDs that no layer of the store is seen through, as a transaction sees it.

    Raises:
        NotFoundError: The user has no subordinate IDs, or not so many are free.
        OSError: Its files cannot be read.
    """
    here = available_ids(wanted.user)
    taken = [decode_mapping(text) for text in Layers(tx).id_mappings()]
    uids = allocate(here.uids, _hosts(each.uids for each in taken), wanted.size)
    gids = allocate(here.gids, _hosts(each.gids for each in taken), wanted.size)
    return IdMapping(uids=ranges_of(uids), gids=ranges_of(gids))


def _hosts(mappings: Iterable[Iterable[IdRange]]) -> list[IdSpan]:
    return [IdSpan(first=each.host, size=each.size) for ranges in mappings for each in ranges]
