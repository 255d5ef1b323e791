"""Which ids this process may give to containers: its user's subordinate ones, or those it has.

Root of the machine gives away the ids of the user `containers`, as other tools do; that user need
not exist. Anybody else has ids of its own, by name or number. In a user namespace the ids are those
that the namespace maps.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop._sys.process import in_initial_user_namespace
from orlop.errors import LimitExceededError, NotFoundError
from orlop.idranges import IdSpan, parse_subordinate_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBUID: Final = "/etc/subuid"
SUBGID: Final = "/etc/subgid"
CONTAINERS: Final = "containers"
"""The user whose ids root gives to containers."""
MAX_SUBORDINATE_SIZE: Final = 4 << 20
"""Bytes of `/etc/subuid` or `/etc/subgid`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubordinateIds:
    """Ids that containers may have.

    Attributes:
        owner: Whose they are.
        uids: User ids, in the order of the file.
        gids: Group ids, likewise.
    """

    owner: str
    uids: tuple[IdSpan, ...]
    gids: tuple[IdSpan, ...]


def subordinate_ids(user: str | None = None) -> SubordinateIds:
    """The subordinate ids of a user, at least one of each kind.

    Args:
        user: Name or number; None for `containers`, or else the current user, if that is root, and
            for the current user alone if not: only root may give away the ids of others.

    Raises:
        NotFoundError: No such user has subordinate ids here; the hint says what to do.
        InvalidError: One of its lines gives no ids.
        LimitExceededError: A file has more than `MAX_SUBORDINATE_SIZE` bytes, or too many lines.
        OSError: A file cannot be read.
    """
    files = {path: _read(path) for path in (SUBUID, SUBGID)}
    candidates = [user] if user is not None else list(_usual_owners())
    for owner in candidates:
        names = _names(owner)
        uids, gids = (
            parse_subordinate_ids(text, names, where=path) for path, text in files.items()
        )
        if uids and gids:
            return SubordinateIds(owner=owner, uids=uids, gids=gids)
    raise _missing(candidates)


def namespace_ids() -> SubordinateIds:
    """The ids that this process's user namespace maps, as they are called inside of it.

    0 is left out: there it is whoever made the namespace.
    """
    return SubordinateIds(
        owner="this user namespace",
        uids=_mapped("/proc/self/uid_map"),
        gids=_mapped("/proc/self/gid_map"),
    )


def available_ids(user: str | None = None) -> SubordinateIds:
    """The ids that this process may give to containers: of its namespace, or subordinate ones.

    Args:
        user: As for `subordinate_ids`; a user namespace is asked only where this is None.

    Raises:
        NotFoundError: As for `subordinate_ids`, like the other errors.
    """
    if user is None and not in_initial_user_namespace():
        return namespace_ids()
    return subordinate_ids(user)


def _usual_owners() -> Iterator[str]:
    if os.geteuid() == 0:
        yield CONTAINERS
    yield str(os.geteuid())


def _names(user: str) -> frozenset[str]:
    """Name and number of a user, as far as the machine knows both."""
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        return frozenset({user})
    return frozenset({user, entry.pw_name, str(entry.pw_uid)})


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_SUBORDINATE_SIZE + 1)
    except FileNotFoundError:
        return ""
    if len(data) > MAX_SUBORDINATE_SIZE:
        raise LimitExceededError(
            f"{path} is too large", limit="MAX_SUBORDINATE_SIZE", value=MAX_SUBORDINATE_SIZE
        )
    return data.decode(errors="surrogateescape")


def _mapped(path: str) -> tuple[IdSpan, ...]:
    rows = (map(int, line.split()) for line in Path(path).read_text().splitlines())
    spans = [(max(first, 1), first + size) for first, _, size in rows]
    return tuple(IdSpan(first=first, size=end - first) for first, end in spans if first < end)


def _missing(owners: list[str]) -> NotFoundError:
    names = [min(_names(owner), key=str.isdecimal) for owner in owners]
    if CONTAINERS in names:
        hint = f"add the line {CONTAINERS}:2147483647:2147483648 to both"
    else:
        ranges = "--add-subuids 100000-165535 --add-subgids 100000-165535"
        hint = f"as root: usermod {ranges} {names[0]}"
    return NotFoundError(
        f"{' or '.join(names)} has no subordinate ids in {SUBUID} and {SUBGID}", hint=hint
    )
