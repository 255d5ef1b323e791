"""Whose the directories above a mount are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orlop.errors import NotFoundError

if TYPE_CHECKING:
    from orlop.idmap import IdMapping


def owners_above(target: str, mapping: IdMapping | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The users and groups of the directories above a place that an ID mapping does not have.

    Raises:
        OSError: One of them cannot be looked at.
    """
    uids, gids = set[int](), set[int]()
    for path in Path(target).parents:
        found = os.stat(path)
        if mapping is None or not _maps(mapping, found.st_uid, found.st_gid):
            uids.add(found.st_uid)
            gids.add(found.st_gid)
    return tuple(sorted(uids)), tuple(sorted(gids))


def _maps(mapping: IdMapping, uid: int, gid: int) -> bool:
    try:
        mapping.to_container(uid, gid)
    except NotFoundError:
        return False
    return True
