"""ID mappings: which user and group ids of a container are which ids of the machine.

    container  host     size
    0          100000   65536     as `--uidmap` has it: 0:100000:65536

The same values are the map of a user namespace and of an id-mapped mount.

Spec: user_namespaces(7), "User and group ID mappings"; runtime-spec v1.2, config-linux.md, "User
namespace mappings".
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias

from orlop.errors import InvalidError, LimitExceededError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ID: Final = 2**32 - 2
"""The largest user or group id; the one after it means none."""
MAX_RANGES: Final = 340
"""Ranges that the kernel takes in one map."""

Dialect: TypeAlias = Literal["storage", "runtime"]

_TRIPLE: Final = re.compile(r"(\d{1,10}):(\d{1,10}):(\d{1,10})", re.ASCII)
_MEMBERS: Final[dict[Dialect, tuple[str, str, str]]] = {
    "storage": ("container_id", "host_id", "size"),
    "runtime": ("containerID", "hostID", "size"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRange:
    """So many ids of a container, one after another, and the ids of the machine that they are.

    Args:
        container: The first id in the container.
        host: The first id on the machine.
        size: How many ids, at least 1.

    Raises:
        InvalidError: There is no such range, because ids go from 0 to `MAX_ID`.
    """

    container: int
    host: int
    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InvalidError("a range needs at least one id", where=str(self))
        for first in (self.container, self.host):
            if first < 0 or first + self.size - 1 > MAX_ID:
                raise InvalidError(f"ids go from 0 to {MAX_ID}", where=str(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The range that `CONTAINER:HOST:SIZE` means.

        Raises:
            InvalidError: The text is no range.
        """
        found = _TRIPLE.fullmatch(text)
        if found is None:
            raise InvalidError(
                f"{text[:100]!r} is no range of ids",
                hint="write CONTAINER:HOST:SIZE, such as 0:100000:65536",
            )
        container, host, size = map(int, found.groups())
        return cls(container=container, host=host, size=size)

    def __str__(self) -> str:
        return f"{self.container}:{self.host}:{self.size}"


class _Table:
    """One direction of a map: where ranges begin, how long they are, and where they lead."""

    __slots__ = ("_kind", "_sizes", "_starts", "_targets")

    def __init__(self, kind: str, rows: Iterable[tuple[int, int, int]]) -> None:
        ordered = sorted(rows)
        self._kind = kind
        self._starts = [start for start, _, _ in ordered]
        self._targets = [target for _, target, _ in ordered]
        self._sizes = [size for _, _, size in ordered]

    def find(self, number: int) -> int:
        at = bisect_right(self._starts, number) - 1
        if at >= 0 and (offset := number - self._starts[at]) < self._sizes[at]:
            return self._targets[at] + offset
        raise NotFoundError(
            f"{self._kind} {number} is not mapped",
            hint="give the file to an id that is, or map more ids",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IdMapping:
    """Which users and groups of a container are which of the machine.

    Mappings are equal when they map the same ids in the same ranges, in whatever order the ranges
    were given; they are kept in the order of their container ids.

    Args:
        uids: Ranges of user ids, at least one.
        gids: Ranges of group ids, at least one.

    Raises:
        InvalidError: There is no range, or two have an id in common on one of the sides.
        LimitExceededError: There are more than `MAX_RANGES` of one kind.
    """

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]
    _to_host: tuple[_Table, _Table] = field(init=False, repr=False, compare=False)
    _to_container: tuple[_Table, _Table] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        uids, gids = _checked("uid", self.uids), _checked("gid", self.gids)
        to_host = _Table("uid", map(_upwards, uids)), _Table("gid", map(_upwards, gids))
        to_container = _Table("uid", map(_downwards, uids)), _Table("gid", map(_downwards, gids))
        object.__setattr__(self, "uids", uids)
        object.__setattr__(self, "gids", gids)
        object.__setattr__(self, "_to_host", to_host)
        object.__setattr__(self, "_to_container", to_container)

    @classmethod
    def parse(cls, uids: Iterable[str], gids: Iterable[str] | None = None) -> Self:
        """The mapping that texts of the form `CONTAINER:HOST:SIZE` mean.

        Args:
            uids: One text for each range of user ids.
            gids: One for each range of group ids; None for the same as `uids`.

        Raises:
            InvalidError: A text is no range, or as for the class.
            LimitExceededError: As for the class.
        """
        users = tuple(map(IdRange.parse, uids))
        return cls(uids=users, gids=users if gids is None else tuple(map(IdRange.parse, gids)))

    @classmethod
    def identity(cls) -> Self:
        """The mapping in which all ids are the same inside and outside."""
        every = (IdRange(container=0, host=0, size=MAX_ID + 1),)
        return cls(uids=every, gids=every)

    @property
    def is_identity(self) -> bool:
        """Whether no mapped id differs inside and outside; some ids may have no mapping."""
        return all(part.container == part.host for part in (*self.uids, *self.gids))

    def to_host(self, uid: int, gid: int) -> tuple[int, int]:
        """The machine's user and group ids for those of the container.

        Raises:
            NotFoundError: One of them is not mapped; the message says which.
        """
        users, groups = self._to_host
        return users.find(uid), groups.find(gid)

    def to_container(self, uid: int, gid: int) -> tuple[int, int]:
        """The container's user and group ids for those of the machine.

        Raises:
            NotFoundError: One of them is not mapped; the message says which.
        """
        users, groups = self._to_container
        return users.find(uid), groups.find(gid)


def translate(stored: IdMapping, shown: IdMapping) -> IdMapping:
    """The mapping of an id-mapped mount that shows one container's files as another's.

    Its container side are ids as they are stored, its host side ids as they are shown: a file of
    `stored.to_host(uid, gid)` appears as one of `shown.to_host(uid, gid)`. Ids that only one of the
    two maps are left out.

    Args:
        stored: How the files were written; `IdMapping.identity()` for an image's own ids.
        shown: How they are to be seen.

    Raises:
        InvalidError: The two have no id in common.
        LimitExceededError: More than `MAX_RANGES` ranges would be needed.
    """
    return IdMapping(
        uids=_translated(stored.uids, shown.uids), gids=_translated(stored.gids, shown.gids)
    )


def encode_ranges(ranges: Iterable[IdRange], dialect: Dialect = "storage") -> list[dict[str, int]]:
    """Ranges as JSON has them.

    Args:
        ranges: The ranges.
        dialect: `storage` for members as in containers/storage (`container_id`, `host_id`, `size`),
            `runtime` as in the runtime-spec (`containerID`, `hostID`, `size`).
    """
    names = _MEMBERS[dialect]
    return [
        dict(zip(names, (part.container, part.host, part.size), strict=True)) for part in ranges
    ]


def decode_ranges(value: object, *, where: str = "$") -> tuple[IdRange, ...]:
    """Ranges out of decoded JSON, in either dialect of `encode_ranges`.

    Args:
        value: The list of objects; their other members are ignored.
        where: The JSON path of the list, for errors.

    Raises:
        InvalidError: It is no list of ranges.
        LimitExceededError: There are more than `MAX_RANGES`.
    """
    if not isinstance(value, list):
        raise InvalidError("is no list of ranges", where=where)
    _check_count(value)
    return tuple(_decode(member, f"{where}[{at}]") for at, member in enumerate(value))


def _decode(value: object, where: str) -> IdRange:
    if isinstance(value, dict):
        for names in _MEMBERS.values():
            # A bool is an int, and no number in JSON.
            numbers = [value[name] for name in names if type(value.get(name)) is int]
            if len(numbers) == len(names):
                return _range(*numbers, where=where)
    raise InvalidError("is no range of ids: container_id, host_id, size", where=where)


def _range(container: int, host: int, size: int, *, where: str) -> IdRange:
    try:
        return IdRange(container=container, host=host, size=size)
    except InvalidError as error:
        raise error.inside(where) from None


def _checked(kind: str, ranges: Iterable[IdRange]) -> tuple[IdRange, ...]:
    """The ranges in the order of their container ids, if they make a map."""
    ordered = tuple(sorted(ranges, key=lambda part: part.container))
    if not ordered:
        raise InvalidError(f"a mapping needs at least one range of {kind}s")
    _check_count(ordered)
    _check_apart(kind, [(part.container, part) for part in ordered])
    _check_apart(kind, sorted(((part.host, part) for part in ordered), key=lambda pair: pair[0]))
    return ordered


def _check_count(ranges: Sequence[object]) -> None:
    if len(ranges) > MAX_RANGES:
        raise LimitExceededError(
            f"a mapping of {len(ranges)} ranges", limit="MAX_RANGES", value=MAX_RANGES
        )


def _check_apart(kind: str, ordered: Sequence[tuple[int, IdRange]]) -> None:
    for (first, one), (second, other) in pairwise(ordered):
        if first + one.size > second:
            raise InvalidError(f"the {kind} ranges {one} and {other} overlap")


def _upwards(part: IdRange) -> tuple[int, int, int]:
    return part.container, part.host, part.size


def _downwards(part: IdRange) -> tuple[int, int, int]:
    return part.host, part.container, part.size


def _translated(stored: Sequence[IdRange], shown: Sequence[IdRange]) -> tuple[IdRange, ...]:
    """Where the container ids of both meet; pieces that belong together are one."""
    found: list[IdRange] = []
    here, there = 0, 0
    while here < len(stored) and there < len(shown):
        one, other = stored[here], shown[there]
        start = max(one.container, other.container)
        ends = one.container + one.size, other.container + other.size
        if start < min(ends):
            host = other.host + start - other.container
            piece = one.host + start - one.container, host, min(ends) - start
            _append(found, *piece)
        here, there = (here + 1, there) if ends[0] <= ends[1] else (here, there + 1)
    return tuple(found)


def _append(found: list[IdRange], container: int, host: int, size: int) -> None:
    if found:
        last = found[-1]
        if (last.container + last.size, last.host + last.size) == (container, host):
            found[-1] = IdRange(container=last.container, host=last.host, size=last.size + size)
            return
    found.append(IdRange(container=container, host=host, size=size))
