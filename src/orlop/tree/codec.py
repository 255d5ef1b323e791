r"""A changeset as bytes: the compact record of what a layer does, kept beside its tar.

Reading it back costs a tenth of scanning the tar again. The order of removals among themselves,
and of additions among themselves, is the archive's; removals come first, because they are applied
first. The same changeset always gives the same bytes. All integers are little-endian.

    offset  size  type  meaning
    0       8           magic, b"orlopcs\n"
    8       4     u32   version, 1
    12      4     u32   zero
    16      8     u64   number of records
    24      8     u64   length of the strings, in bytes
    32      32          SHA-256 of all that follows
    64      64*n        records
    64+64n  …           strings: each record's path, target and extras, one after another

    record
    0       1     u8    kind: 0 whiteout, 1 opaque, 2 put, 3 link
    1       1     u8    zero
    2       2     u16   length of the path, in bytes
    4       4     u32   mode
    8       4     u32   uid
    12      4     u32   gid
    16      8     s64   mtime, seconds
    24      4     u32   mtime, nanoseconds
    28      4     u32   length of the target (of a symbolic or hard link), in bytes
    32      4     u32   length of the extras, in bytes
    36      4     u32   device number (major << 20 | minor)
    40      8     u64   size, in bytes
    48      8     u64   offset of the data in the tar, in bytes
    56      4     u32   flags: 1 the data lies in the tar, 2 sparse
    60      4     u32   zero

    extras
    0       4     u32   number of extended attributes; each: u16 name length, u32 value length,
                        name, value
    …       4     u32   number of segments, each: u64 start, u64 length
"""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidLayerError
from orlop.tree.changeset import Entry, Link, Opaque, Put, Whiteout
from orlop.tree.node import NO_XATTRS, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orlop.digest import Digest

VERSION: Final = 1
_HEADER: Final = struct.Struct("<8sIIQQ32s")
_RECORD: Final = struct.Struct("<BxHIIIqIIIIQQI4x")
_MAGIC: Final = b"orlopcs\n"
_WHITEOUT, _OPAQUE, _PUT, _LINK = range(4)
_STORED, _SPARSE = 1, 2
_U32: Final = struct.Struct("<I")
_XATTR: Final = struct.Struct("<HI")
_SEGMENT: Final = struct.Struct("<QQ")
_NS: Final = 1_000_000_000


class ChangesetEncoder:
    """Collects the entries of one changeset and gives their bytes.

    Memory: about 64 bytes an entry and its names.
    """

    def __init__(self) -> None:
        self._removals = bytearray()
        self._removal_strings = bytearray()
        self._additions = bytearray()
        self._addition_strings = bytearray()
        self.entries = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """Take further entries, in the archive's order."""
        for entry in entries:
            self.entries += 1
            if type(entry) is Put:
                self._add_put(entry)
            elif type(entry) is Link:
                self._additions += _RECORD.pack(
                    _LINK, len(entry.path), 0, 0, 0, 0, 0, len(entry.target), 0, 0, 0, 0, 0
                )
                self._addition_strings += entry.path
                self._addition_strings += entry.target
            else:
                kind = _WHITEOUT if type(entry) is Whiteout else _OPAQUE
                self._removals += _RECORD.pack(kind, len(entry.path), *_NOTHING)
                self._removal_strings += entry.path

    def _add_put(self, entry: Put) -> None:
        node = entry.node
        extras = b""
        flags = 0
        if node.xattrs or node.segments is not None:
            extras = _encode_extras(node)
            flags = _SPARSE if node.segments is not None else 0
        if node.source is not None:
            flags |= _STORED
        seconds, nanoseconds = divmod(node.mtime_ns, _NS)
        rdev = os.major(node.rdev) << 20 | os.minor(node.rdev) if node.rdev else 0
        self._additions += _RECORD.pack(
            _PUT, len(entry.path), node.mode, node.uid, node.gid, seconds, nanoseconds,
            len(node.target), len(extras), rdev, node.size, node.offset, flags,
        )  # fmt: skip
        strings = self._addition_strings
        strings += entry.path
        strings += node.target
        strings += extras

    def encode(self) -> bytes:
        """The bytes of the changeset."""
        body = b"".join(
            (self._removals, self._additions, self._removal_strings, self._addition_strings)
        )
        records = (len(self._removals) + len(self._additions)) // _RECORD.size
        strings = len(self._removal_strings) + len(self._addition_strings)
        header = _HEADER.pack(_MAGIC, VERSION, 0, records, strings, hashlib.sha256(body).digest())
        return header + body


_NOTHING: Final = (0,) * 11


class EncodedChangeset:
    """The bytes of a changeset, checked, ready to be applied.

    Args:
        data: What `ChangesetEncoder.encode` gave.
        source: The layer's diffID, which becomes the `source` of its files.

    Raises:
        InvalidLayerError: The bytes are cut short, of another version, or not what was written.
    """

    def __init__(self, data: bytes, source: Digest) -> None:
        if len(data) < _HEADER.size:
            raise InvalidLayerError("the changeset is cut short", where=source)
        magic, version, zero, records, strings, digest = _HEADER.unpack_from(data)
        if (magic, version, zero) != (_MAGIC, VERSION, 0):
            raise InvalidLayerError("not a changeset of this version", where=source)
        body = memoryview(data)[_HEADER.size :]
        if len(body) != records * _RECORD.size + strings:
            raise InvalidLayerError("the changeset's length is wrong", where=source)
        if hashlib.sha256(body).digest() != digest:
            raise InvalidLayerError("the changeset is damaged", where=source)
        self._records = body[: records * _RECORD.size]
        self._strings = bytes(body[records * _RECORD.size :])
        self._source = source

    def __len__(self) -> int:
        return len(self._records) // _RECORD.size

    def removals(self) -> Iterator[Whiteout | Opaque]:
        """What the changeset removes."""
        at = 0
        for record in _RECORD.iter_unpack(self._records):
            if record[0] > _OPAQUE:
                break
            path = self._strings[at : at + record[1]]
            at += record[1]
            yield Whiteout(path) if record[0] == _WHITEOUT else Opaque(path)

    def additions(self) -> Iterator[Put | Link]:
        """What the changeset adds, as new nodes."""
        first, at = self._count_removals()
        strings, source = self._strings, self._source
        for (
            kind, length, mode, uid, gid, seconds, nanoseconds,
            target_length, extras_length, rdev, size, offset, flags,
        ) in _RECORD.iter_unpack(self._records[first * _RECORD.size :]):  # fmt: skip
            end = at + length
            path = strings[at:end]
            at = end
            target = b""
            if target_length:
                at += target_length
                target = strings[end:at]
            if kind == _LINK:
                yield Link(path, target)
                continue
            xattrs: Mapping[bytes, bytes] = NO_XATTRS
            segments = None
            if extras_length:
                xattrs, segments = _decode_extras(strings[at : at + extras_length], flags)
                at += extras_length
            yield Put(
                path,
                Node(
                    mode, uid, gid, seconds * _NS + nanoseconds, size,
                    os.makedev(rdev >> 20, rdev & 0xFFFFF) if rdev else 0,
                    target, xattrs, source if flags & _STORED else None, offset, segments,
                ),
            )  # fmt: skip

    def owners(self) -> tuple[list[int], list[int]]:
        """The users and the groups that own something that is added, ascending."""
        users, groups = set(), set()
        for kind, _, _, uid, gid, *_ in _RECORD.iter_unpack(self._records):
            if kind == _PUT:
                users.add(uid)
                groups.add(gid)
        return sorted(users), sorted(groups)

    def entries(self) -> Iterator[Entry]:
        """All entries: removals, then additions."""
        yield from self.removals()
        yield from self.additions()

    def _count_removals(self) -> tuple[int, int]:
        """How many removals there are, and where the strings of the additions begin."""
        count = at = 0
        for record in _RECORD.iter_unpack(self._records):
            if record[0] > _OPAQUE:
                break
            count += 1
            at += record[1]
        return count, at


def _encode_extras(node: Node) -> bytes:
    parts = [_U32.pack(len(node.xattrs))]
    for name, value in sorted(node.xattrs.items()):
        parts += (_XATTR.pack(len(name), len(value)), name, value)
    segments = node.segments or ()
    parts.append(_U32.pack(len(segments)))
    parts.extend(_SEGMENT.pack(start, length) for start, length in segments)
    return b"".join(parts)


def _decode_extras(
    data: bytes, flags: int
) -> tuple[Mapping[bytes, bytes], tuple[tuple[int, int], ...] | None]:
    (count,) = _U32.unpack_from(data)
    at = 4
    xattrs = {}
    for _ in range(count):
        name_length, value_length = _XATTR.unpack_from(data, at)
        at += _XATTR.size
        value_at = at + name_length
        xattrs[data[at:value_at]] = data[value_at : value_at + value_length]
        at = value_at + value_length
    if not flags & _SPARSE:
        return xattrs or NO_XATTRS, None
    (count,) = _U32.unpack_from(data, at)
    segments = tuple(_SEGMENT.iter_unpack(data[at + 4 : at + 4 + count * _SEGMENT.size]))
    return xattrs or NO_XATTRS, segments
