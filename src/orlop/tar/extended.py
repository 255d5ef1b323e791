"""Extended headers that wait for their member, and the global ones that go on.

x   PAX records of the next member
g   PAX records of all members that follow
L   GNU: the next member's name
K   GNU: the next member's link target
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.tar.header import MalformedError, TooLargeError
from orlop.tar.pax import decode_records, global_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.tar.limits import TarLimits
    from orlop.tar.member import Member

EXTENDED_KINDS: Final = frozenset({b"x", b"g", b"L", b"K"})


class ExtendedHeaders:
    """What extended headers said so far.

    Args:
        limits: Bounds of global headers and attributes.

    Attributes:
        pending: Whether there is something that the next member must take.
        active: Whether there is something that the next member must take, or a global record.
    """

    __slots__ = (
        "_globals", "_globals_size", "_limits", "_link", "_name", "_records", "active", "pending",
    )  # fmt: skip

    def __init__(self, limits: TarLimits) -> None:
        self._limits = limits
        self._globals: dict[bytes, bytes] = {}
        self._globals_size = 0
        self._records: dict[bytes, bytes] | None = None
        self._name: bytes | None = None
        self._link: bytes | None = None
        self.pending = False
        self.active = False

    def take(self, kind: bytes, body: bytes) -> None:
        """Decode the body of an extended header.

        Raises:
            MalformedError: It is broken, or has no business beside those that wait already:
                readers differ in what then holds.
            TooLargeError: All global headers together are over `max_header_size`.
        """
        if kind == b"x":
            if self.pending:
                raise MalformedError("a member has several extended headers")
            self._records = decode_records(body)
        elif kind == b"g":
            self._take_globals(body)
            return
        else:
            self._take_long(kind, body)
        self.pending = self.active = True

    def _take_globals(self, body: bytes) -> None:
        if self.pending:
            raise MalformedError("a global header stands between a member and its own header")
        found = self._globals
        for keyword, value in global_records(decode_records(body)).items():
            self._globals_size -= _size(keyword, found.pop(keyword, b""))
            if value:
                found[keyword] = value
                self._globals_size += _size(keyword, value)
        self.active = bool(found)
        if self._globals_size > self._limits.max_header_size:
            raise TooLargeError("the global headers are too large", "max_header_size")

    def _take_long(self, kind: bytes, body: bytes) -> None:
        text = body.rstrip(b"\0")
        if not text or b"\0" in text:
            raise MalformedError("a GNU long name is empty or has a NUL in it")
        taken = self._name if kind == b"L" else self._link
        if self._records is not None or taken is not None:
            raise MalformedError("a member has several extended headers")
        if kind == b"L":
            self._name = text
        else:
            self._link = text

    def apply(self, member: Member) -> Mapping[bytes, bytes]:
        """Change a member by what waits for it, and return its own PAX records.

        Raises:
            MalformedError: A record's value is broken.
            TooLargeError: An attribute is over its limit.
        """
        records = self._records or {}
        if self._globals:
            member.extend({**self._globals, **records}, self._limits)
        elif records:
            member.extend(records, self._limits)
        if self._name is not None:
            member.name = self._name
        if self._link is not None:
            member.link = self._link
        self._records = self._name = self._link = None
        self.pending = False
        self.active = bool(self._globals)
        return records


def _size(keyword: bytes, value: bytes) -> int:
    """What a record counts; one that is not there has no value."""
    return len(keyword) + len(value) if value else 0
