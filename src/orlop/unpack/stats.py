r"""What every file of a directory was like when it was written, so that a change is seen unread.

Whatever is done to an inode, its content included, gives it another time of change (`ctime`),
which nobody can set. One whose record still fits is as it was; one whose record does not may
be, and is read. All integers are little-endian.

    offset  size  type  meaning
    0       8           magic, b"orlopst\n"
    8       4     u32   version, 1
    12      4     u32   zero
    16      8     u64   number of records
    24      32          SHA-256 of all that follows
    56      56*n        records: the root, then the entries of each directory in byte order, the
                        directories in the order of their own records
    56+56n  …           the names of all records, one after another

    record
    0       2     u16   length of the name, in bytes; 0 for the root alone
    2       2     u16   zero
    4       4     u32   mode
    8       4     u32   uid, as the directory has it
    12      4     u32   gid
    16      8     u64   inode number
    24      8     u64   size of a file, in bytes; of a directory the number of its entries
    32      8     u64   time of last modification, in nanoseconds since 1970, modulo 2**64
    40      8     u64   time of last change, likewise
    48      8     u64   device number
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.errors import InvalidDocumentError
from orlop.rootfs.handles import Handles, Place
from orlop.tree.node import S_IFDIR, S_IFMT
from orlop.unpack.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

    Stat: TypeAlias = tuple[int, int, int, int, int, int, int, int]
    """Mode, uid, gid, inode number, size, both times, device number."""

VERSION: Final = 1
_MAGIC: Final = b"orlopst\n"
_HEADER: Final = struct.Struct("<8sIIQ32s")
_RECORD: Final = struct.Struct("<HxxIIIQQQQQ")
_U64: Final = 2**64 - 1


class StatDirectory:
    """A directory's record, and those of its entries.

    Attributes:
        stat: Its own.
        entries: Those of its entries by name, directories among them.
        below: The directories among them.
    """

    __slots__ = ("below", "entries", "stat")

    def __init__(self, stat: Stat) -> None:
        self.stat = stat
        self.entries: dict[bytes, Stat] = {}
        self.below: dict[bytes, StatDirectory] = {}


def stat_of(found: os.stat_result) -> Stat:
    """The record of an inode; sizes and device numbers are those that mean something."""
    mode = found.st_mode
    return (
        mode, found.st_uid, found.st_gid, found.st_ino,
        0 if mode & S_IFMT == S_IFDIR else found.st_size,
        found.st_mtime_ns & _U64, found.st_ctime_ns & _U64, found.st_rdev,
    )  # fmt: skip


def read_stats(dir_fd: int) -> StatDirectory:
    """Record a directory and all below it, which nobody changes meanwhile.

    Raises:
        OSError: Something cannot be read.
    """
    root = StatDirectory(stat_of(os.fstat(dir_fd)))
    with Handles(Place(None, b"", dir_fd)) as handles, Access(dir_fd) as access:
        place = handles.root
        stack = [_read_directory(root, dir_fd)]
        while stack:
            below = next(stack[-1], None)
            if below is not None:
                name, directory = below
                place = Place(place, name)
                if access.needed(*directory.stat[:2]):
                    access.enter(place.path(), directory.stat[0])
                stack.append(_read_directory(directory, handles.get(place)))
                continue
            stack.pop()
            if place.parent is not None:
                handles.leave(place)
                place = place.parent
    return root


def _read_directory(
    directory: StatDirectory, dir_fd: int
) -> Iterator[tuple[bytes, StatDirectory]]:  # fmt: skip
    entries = directory.entries
    with os.scandir(dir_fd) as found:
        for entry in found:
            name = entry.name.encode("utf-8", "surrogateescape")
            entries[name] = stat_of(entry.stat(follow_symlinks=False))
    for name, stat in entries.items():
        if stat[0] & S_IFMT == S_IFDIR:
            directory.below[name] = StatDirectory(stat)
    return iter(directory.below.items())


def forget_recent(root: StatDirectory, since_ns: int) -> None:
    """Let nothing count as unchanged that may be changed again in the same tick of the clock.

    Args:
        root: The records, which are changed.
        since_ns: What was changed later than this, in nanoseconds since 1970.
    """
    stack = [root]
    while stack:
        directory = stack.pop()
        directory.stat = _without_recent(directory.stat, since_ns)
        for name, stat in directory.entries.items():
            directory.entries[name] = _without_recent(stat, since_ns)
        stack.extend(directory.below.values())


def _without_recent(stat: Stat, since_ns: int) -> Stat:
    return stat if stat[6] < since_ns else (*stat[:6], 0, stat[7])


def encode_stats(root: StatDirectory) -> bytes:
    """The records as bytes; the same for the same records."""
    records, names = bytearray(), bytearray()
    _add(records, b"", root.stat, len(root.entries))
    waiting = deque([root])
    while waiting:
        directory = waiting.popleft()
        for name in sorted(directory.entries):
            stat = directory.entries[name]
            below = directory.below.get(name)
            _add(records, name, stat, stat[4] if below is None else len(below.entries))
            names += name
            if below is not None:
                waiting.append(below)
    body = bytes(records + names)
    count = len(records) // _RECORD.size
    return _HEADER.pack(_MAGIC, VERSION, 0, count, hashlib.sha256(body).digest()) + body


def _add(records: bytearray, name: bytes, stat: Stat, size: int) -> None:
    mode, uid, gid, inode, _, mtime, ctime, rdev = stat
    records += _RECORD.pack(len(name), mode, uid, gid, inode, size, mtime, ctime, rdev)


def decode_stats(data: bytes) -> StatDirectory:
    """The records out of their bytes, which are checked first.

    Raises:
        InvalidDocumentError: They are cut short, of another version, or not what was written.
    """
    if len(data) < _HEADER.size or data[:8] != _MAGIC:
        raise InvalidDocumentError("are no records of a directory")
    _, version, zero, count, digest = _HEADER.unpack_from(data)
    if (version, zero) != (VERSION, 0):
        raise InvalidDocumentError(f"are records of version {version}, not {VERSION}")
    body = memoryview(data)[_HEADER.size :]
    if hashlib.sha256(body).digest() != digest or not 0 < count <= len(body) // _RECORD.size:
        raise InvalidDocumentError("the records are damaged")
    try:
        return _decode(body, count)
    except (StopIteration, IndexError, KeyError):
        raise InvalidDocumentError("the records do not fit together") from None


def _decode(body: memoryview, count: int) -> StatDirectory:
    records = _RECORD.iter_unpack(body[: count * _RECORD.size])
    names, at = bytes(body[count * _RECORD.size :]), 0
    _, mode, uid, gid, inode, size, mtime, ctime, rdev = next(records)
    root = StatDirectory((mode, uid, gid, inode, 0, mtime, ctime, rdev))
    waiting = deque([(root, size)])
    while waiting:
        directory, entries = waiting.popleft()
        for _ in range(entries):
            length, mode, uid, gid, inode, size, mtime, ctime, rdev = next(records)
            name = names[at : at + length]
            at += length
            if mode & S_IFMT == S_IFDIR:
                stat = (mode, uid, gid, inode, 0, mtime, ctime, rdev)
                directory.below[name] = below = StatDirectory(stat)
                waiting.append((below, size))
            else:
                stat = (mode, uid, gid, inode, size, mtime, ctime, rdev)
            directory.entries[name] = stat
    return root
