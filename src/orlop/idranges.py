"""Ranges of ids that a user was given, and the choice of those that are free.

    containers:2147483647:2147483648    user by name or number, first id, how many

Spec: subuid(5), subgid(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError, LimitExceededError, NotFoundError
from orlop.idmap import MAX_ID, MAX_RANGES, IdRange

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

MAX_LINES: Final = 65_536
"""Lines of `/etc/subuid` or `/etc/subgid`."""

_NUMBERS: Final = re.compile(r"(\d{1,10}):(\d{1,10})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class IdSpan:
    """So many ids of the machine, one after another.

    Args:
        first: The first of them.
        size: How many, at least 1.

    Raises:
        InvalidError: There is no such span, because ids go from 0 to `MAX_ID`.
    """

    first: int
    size: int

    def __post_init__(self) -> None:
        if self.size < 1 or self.first < 0 or self.first + self.size - 1 > MAX_ID:
            raise InvalidError(f"{self} are no ids: they go from 0 to {MAX_ID}")

    @property
    def end(self) -> int:
        """The first id that is no part of it any more."""
        return self.first + self.size

    def __str__(self) -> str:
        return f"{self.first}+{self.size}"


def parse_subordinate_ids(
    text: str, owners: Collection[str], *, where: str = ""
) -> tuple[IdSpan, ...]:
    """The spans that a file gives to a user, in the file's order.

    Lines of other users may be anything, as they may for whatever else reads the file.

    Args:
        text: The content of `/etc/subuid` or `/etc/subgid`.
        owners: The user's name, and its number as decimal text.
        where: The file's path, for errors.

    Raises:
        InvalidError: A line of the user gives no ids.
        LimitExceededError: There are more than `MAX_LINES` lines.
    """
    lines = text.split("\n", MAX_LINES)
    if len(lines) > MAX_LINES and lines[MAX_LINES]:
        raise LimitExceededError(f"{where}: too many lines", limit="MAX_LINES", value=MAX_LINES)
    found = []
    for number, line in enumerate(lines, 1):
        owner, _, numbers = line.strip().partition(":")
        if owner in owners:
            found.append(_parse_span(numbers, f"{where}:{number}"))
    return tuple(found)


def allocate(available: Iterable[IdSpan], used: Iterable[IdSpan], size: int) -> tuple[IdSpan, ...]:
    """Choose `size` ids that are available and not used.

    The lowest gap that is large enough, if there is one; otherwise as few gaps as possible. The
    same question has the same answer.

    Args:
        available: What may be chosen from; spans may overlap.
        used: What may not, wherever it lies.
        size: How many ids are needed, at least 1.

    Returns:
        Spans in ascending order, which together have exactly `size` ids.

    Raises:
        NotFoundError: Not so many ids are free; the message says what is there and what is used.
        LimitExceededError: They lie in more than `MAX_RANGES` gaps.
    """
    if size < 1:
        raise ValueError("size must be at least 1")
    here, taken = _joined(available), _joined(used)
    gaps = _without(here, taken)
    for gap in gaps:
        if gap.size >= size:
            return (IdSpan(first=gap.first, size=size),)
    if sum(gap.size for gap in gaps) < size:
        raise _exhausted(here, gaps, size)
    return _pieces(gaps, size)


def ranges_of(spans: Iterable[IdSpan], *, container: int = 0) -> tuple[IdRange, ...]:
    """The ranges that give a container these ids of the machine as its own, one after another.

    Args:
        spans: The ids of the machine.
        container: The first id in the container.
    """
    found = []
    for span in spans:
        found.append(IdRange(container=container, host=span.first, size=span.size))
        container += span.size
    return tuple(found)


def _parse_span(numbers: str, where: str) -> IdSpan:
    found = _NUMBERS.fullmatch(numbers)
    if found is None:
        raise InvalidError("is no line USER:FIRST:COUNT", where=where)
    first, size = map(int, found.groups())
    try:
        return IdSpan(first=first, size=size)
    except InvalidError as error:
        raise error.inside(where) from None


def _joined(spans: Iterable[IdSpan]) -> list[IdSpan]:
    """The same ids in ascending spans that neither overlap nor touch."""
    found: list[IdSpan] = []
    for span in sorted(spans):
        if found and span.first <= found[-1].end:
            last = found.pop()
            span = IdSpan(first=last.first, size=max(last.end, span.end) - last.first)
        found.append(span)
    return found


def _without(spans: Iterable[IdSpan], taken: Sequence[IdSpan]) -> list[IdSpan]:
    """What is left of ascending spans without other ascending spans."""
    found: list[IdSpan] = []
    at = 0
    for span in spans:
        first = span.first
        while at < len(taken) and taken[at].end <= first:
            at += 1
        here = at
        while here < len(taken) and taken[here].first < span.end:
            if first < taken[here].first:
                found.append(IdSpan(first=first, size=taken[here].first - first))
            first = taken[here].end
            here += 1
        if first < span.end:
            found.append(IdSpan(first=first, size=span.end - first))
    return found


def _pieces(gaps: Iterable[IdSpan], size: int) -> tuple[IdSpan, ...]:
    """The largest gaps that together have `size` ids; of the last of them only what is needed."""
    chosen: list[IdSpan] = []
    for gap in sorted(gaps, key=lambda gap: (-gap.size, gap.first)):
        part = min(gap.size, size)
        chosen.append(IdSpan(first=gap.first, size=part))
        size -= part
        if not size:
            break
    if len(chosen) > MAX_RANGES:
        raise LimitExceededError(
            f"the free ids lie in {len(chosen)} pieces", limit="MAX_RANGES", value=MAX_RANGES
        )
    return tuple(sorted(chosen))


def _exhausted(here: Sequence[IdSpan], gaps: Sequence[IdSpan], size: int) -> NotFoundError:
    there, free = (sum(span.size for span in spans) for spans in (here, gaps))
    return NotFoundError(
        f"no {size} ids are free: {there} are available, {there - free} of them in use",
        hint="remove containers, or add a range to /etc/subuid and /etc/subgid",
    )
