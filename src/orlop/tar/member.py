"""A member of an archive: what its header says, and its extended headers on top."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop.tar.acl import ACCESS_ACL, decode_permissions, is_trivial
from orlop.tar.header import (
    MalformedError,
    Memo,
    UnknownError,
    decode_name,
    decode_number,
    decode_size,
)
from orlop.tar.pax import SPARSE_PREFIX, decode_decimal, decode_text, decode_time
from orlop.tar.xattrs import decode_xattrs
from orlop.tree import NO_XATTRS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orlop.tar.limits import TarLimits

_MAX_ID: Final = (1 << 32) - 2
_MAX_MAJOR: Final = (1 << 12) - 1
_MAX_MINOR: Final = (1 << 20) - 1
_MAX_SECONDS: Final = 1 << 63
_NANOSECONDS: Final = 1_000_000_000
_PASSED_OVER: Final = frozenset({b"atime", b"ctime", b"uname", b"gname"})


def _decode_owner(field: bytes) -> tuple[int, int, int]:
    mode = decode_number(field[:8], "mode")
    if mode < 0:
        raise MalformedError(f"mode is out of range: {mode}")
    uid = _check_id(decode_number(field[8:16], "uid"), "uid")
    gid = _check_id(decode_number(field[16:], "gid"), "gid")
    return mode & 0o7777, uid, gid


def _decode_mtime(field: bytes) -> int:
    seconds = decode_number(field, "mtime")
    if not -_MAX_SECONDS <= seconds < _MAX_SECONDS:
        raise MalformedError(f"mtime is out of range: {seconds}")
    return seconds * _NANOSECONDS


def _check_id(number: int, what: str) -> int:
    if not 0 <= number <= _MAX_ID:
        raise MalformedError(f"{what} is out of range: {number}")
    return number


def _decode_devices(field: bytes) -> tuple[int, int]:
    return decode_number(field[:8], "devmajor"), decode_number(field[8:], "devminor")


class Memos:
    """What the headers of one archive decode to, kept because fields come again and again."""

    __slots__ = ("devices", "mtimes", "owners", "sizes")

    def __init__(self) -> None:
        self.owners = Memo(_decode_owner)
        self.mtimes = Memo(_decode_mtime)
        self.sizes = Memo(decode_size)
        self.devices = Memo(_decode_devices)

    def check(self, fields: tuple[bytes, ...]) -> int:
        """The size that an extended header's fields have, all of whose numbers must be such.

        Raises:
            MalformedError: One of its numbers is none; other readers would end here.
        """
        self.owners[fields[1]]
        self.mtimes[fields[3]]
        self.devices[fields[8]]
        return self.sizes[fields[2]]


class Member:
    """One member as its headers describe it, its names still as they stand in the archive.

    Attributes:
        kind: The typeflag.
        magic: Magic and version.
        name: What it is called.
        link: What it links to.
        permissions: The permission bits, `0o7777` at most.
        uid: Owner.
        gid: Group.
        size: Bytes of data that follow the header.
        mtime_ns: Time of last modification in nanoseconds since 1970.
        xattrs: Extended attributes.
        major: Major device number.
        minor: Minor device number.
        sparse: Whether PAX records say that it is a sparse file.
    """

    __slots__ = (
        "gid", "kind", "link", "magic", "major", "minor", "mtime_ns", "name",
        "permissions", "size", "sparse", "uid", "xattrs",
    )  # fmt: skip

    def __init__(self, fields: tuple[bytes, ...], memos: Memos) -> None:
        name, owner, size, mtime, _, self.kind, link, magic, devices, prefix, star = fields
        self.magic = magic
        self.name = decode_name(name, magic, prefix, star)
        self.link = link.partition(b"\0")[0]
        self.permissions, self.uid, self.gid = memos.owners[owner]
        self.size = memos.sizes[size]
        self.mtime_ns = memos.mtimes[mtime]
        self.xattrs: Mapping[bytes, bytes] = NO_XATTRS
        self.major, self.minor = memos.devices[devices]
        self.sparse = False

    def extend(self, records: Mapping[bytes, bytes], limits: TarLimits) -> None:
        """Let the records of an extended header override what the header says.

        Raises:
            MalformedError: A record's value is not what its keyword demands.
            UnknownError: It is a sparse file of star.
        TooLargeError: An attribute is over its limit.
        """
        rare = False
        for keyword, value in records.items():
            setter = _SETTERS.get(keyword)
            if setter is None:
                rare = rare or keyword not in _PASSED_OVER
            elif value:
                setter(self, value)
        if rare:
            self._extend_rarely(records, limits)

    def _extend_rarely(self, records: Mapping[bytes, bytes], limits: TarLimits) -> None:
        if b"SCHILY.realsize" in records:  # star's sparse files, plain and shorter for others
            raise UnknownError("sparse files of star are not supported")
        self.sparse = any(keyword.startswith(SPARSE_PREFIX) for keyword in records)
        self.xattrs = decode_xattrs(records, limits) or NO_XATTRS
        if ACCESS_ACL in self.xattrs:
            self._obey_acl(self.xattrs[ACCESS_ACL])

    def _obey_acl(self, acl: bytes) -> None:
        """Do what Linux does when the list is set, so that it is the same wherever it is kept."""
        permissions = decode_permissions(acl)
        if permissions is None:
            return
        self.permissions = self.permissions & 0o7000 | permissions
        if is_trivial(acl):
            self.xattrs = {name: self.xattrs[name] for name in self.xattrs if name != ACCESS_ACL}

    @property
    def rdev(self) -> int:
        """The device number, as `os.makedev` makes it.

        Raises:
            MalformedError: Major or minor is larger than Linux has them.
        """
        major, minor = self.major, self.minor
        if not (0 <= major <= _MAX_MAJOR and 0 <= minor <= _MAX_MINOR):
            raise MalformedError(f"device number {major}:{minor} is out of range")
        return os.makedev(major, minor)


def _set_name(member: Member, value: bytes) -> None:
    member.name = decode_text(value, "path")


def _set_link(member: Member, value: bytes) -> None:
    member.link = decode_text(value, "linkpath")


def _set_size(member: Member, value: bytes) -> None:
    member.size = decode_decimal(value, "size")


def _set_uid(member: Member, value: bytes) -> None:
    member.uid = decode_decimal(value, "uid", _MAX_ID)


def _set_gid(member: Member, value: bytes) -> None:
    member.gid = decode_decimal(value, "gid", _MAX_ID)


def _set_mtime(member: Member, value: bytes) -> None:
    member.mtime_ns = decode_time(value)


def _set_major(member: Member, value: bytes) -> None:
    member.major = decode_decimal(value, "SCHILY.devmajor", _MAX_MAJOR)


def _set_minor(member: Member, value: bytes) -> None:
    member.minor = decode_decimal(value, "SCHILY.devminor", _MAX_MINOR)


_SETTERS: Final[Mapping[bytes, Callable[[Member, bytes], None]]] = {
    b"path": _set_name,
    b"linkpath": _set_link,
    b"size": _set_size,
    b"uid": _set_uid,
    b"gid": _set_gid,
    b"mtime": _set_mtime,
    b"SCHILY.devmajor": _set_major,
    b"SCHILY.devminor": _set_minor,
}
