"""The ID mapping of a layer, in its record."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from orlop.errors import InvalidError

if TYPE_CHECKING:
    from orlop.idmap import IdMapping
    from orlop.metadata import LayerRow


def mapping_of(row: LayerRow) -> IdMapping | None:
    """The IDs that a layer is seen through; None for those of the machine."""
    return None if row.id_mapping is None else decode_mapping(row.id_mapping)


@lru_cache(maxsize=64)
def decode_mapping(text: str) -> IdMapping:
    """The mapping in a record.

    Raises:
        InvalidError: It is none.
    """
    from orlop.idmap import IdMapping, decode_ranges

    try:
        document = json.loads(text)
        uids, gids = document["uids"], document["gids"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidError(f"the ID mapping of a record cannot be read: {error}") from error
    return IdMapping(uids=decode_ranges(uids), gids=decode_ranges(gids))


def encode_mapping(mapping: IdMapping | None) -> str | None:
    """A mapping as a record holds it; one that changes nothing is none."""
    from orlop.idmap import IdMapping, encode_ranges

    if mapping is None or mapping == IdMapping.identity():
        return None
    return json.dumps(
        {"uids": encode_ranges(mapping.uids), "gids": encode_ranges(mapping.gids)},
        separators=(",", ":"),
    )
