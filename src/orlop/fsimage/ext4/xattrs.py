"""Extended attributes of an inode: in the room that it has left, and in a block beside it.

    0      u32     magic                0xEA020000; in an inode the entries follow
    4      u32     refcount             how many inodes share the block, up to 1024
    8      u32     blocks               1
    12     u32[2]  hash, checksum       of the entries' hashes; 0
    20     u8[12]                       reserved
           entries, sorted by index, length and name; four zero bytes after the last:
    0      u8[2]   name_len, name_index                 of the name without its prefix
    2      u16     value_offs           in an inode from the first entry, else from the block
    4      u32     value_inum           0
    8      u32[2]  value_size, hash
    16     u8[…]   name, padded to 4 bytes

Values lie at the end of the area, the last entry's first, each padded to 4 bytes. Access control
lists, which programs see in the kernel's version 2 (u32 2; u16 tag, u16 perm, u32 id each), are
kept in version 1: u32 1, and no id but with the tags that need one, 2 (user) and 8 (group).

Spec: Linux, Documentation/filesystems/ext4/attributes.rst; fs/ext4/acl.h.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from orlop.errors import InvalidImageError, LimitExceededError, UnsupportedError
from orlop.fsimage.ext4.format import BLOCK, EXTRA_SIZE, INODE_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SHARED: Final = 1024
MAX_XATTR_NAME: Final = 255
MAX_XATTR_AREA: Final = BLOCK - 32 - 4
"""Bytes of entries and values in a block, which attributes that no inode has room for go to."""
_MAGIC: Final = 0xEA020000
_HEADER: Final = struct.Struct("<5I12x")
_ENTRY: Final = struct.Struct("<BBHIII")
_INODE_AREA: Final = INODE_SIZE - 128 - EXTRA_SIZE - 4
_MASK: Final = 0xFFFFFFFF
_WHOLE: Final = MappingProxyType({b"system.posix_acl_access": 2, b"system.posix_acl_default": 3})
_PREFIXES: Final = MappingProxyType({b"user.": 1, b"trusted.": 4, b"security.": 6})
_ACL_TAGS: Final = frozenset({1, 2, 4, 8, 16, 32})
_EMPTY_ACL: Final = 4
_ACL_NAMED: Final = frozenset({2, 8})


class _Entry(NamedTuple):
    prefix: int
    length: int
    name: bytes
    value: bytes

    @property
    def size(self) -> int:
        return _ENTRY.size + (self.length + 3 & ~3) + (len(self.value) + 3 & ~3)


class Attributes(NamedTuple):
    """The attributes of an inode in bytes.

    Attributes:
        inside: What follows the inode's fields; empty for none.
        block: The block, its refcount 0; empty for none.
    """

    inside: bytes
    block: bytes


def encode_xattrs(xattrs: Mapping[bytes, bytes], *, drop_foreign: bool = False) -> Attributes:
    """The attributes of an inode, sorted, as many inside it as there is room for.

    Args:
        xattrs: Values by full name.
        drop_foreign: Whether names of other namespaces are left out, and not refused.

    Raises:
        InvalidImageError: An access control list is not what the kernel gives or takes.
        UnsupportedError: A name is in a namespace that ext4 has no place for.
        LimitExceededError: A name, or all together, are too long.
    """
    inside: list[_Entry] = []
    outside: list[_Entry] = []
    room = _INODE_AREA - 4
    for entry in sorted(_entries(xattrs, drop_foreign)):
        if entry.size <= room:
            inside.append(entry)
            room -= entry.size
        else:
            outside.append(entry)
    needed = sum(entry.size for entry in outside)
    if needed > MAX_XATTR_AREA:
        raise LimitExceededError(
            f"extended attributes take {needed} bytes beside the inode",
            limit="MAX_XATTR_AREA", value=MAX_XATTR_AREA,
        )  # fmt: skip
    return Attributes(_encode_inside(inside), _encode_block(outside))


def shared(block: bytes, count: int) -> bytes:
    """A block of attributes that so many inodes share."""
    return block[:4] + struct.pack("<I", count) + block[8:]


def _entries(xattrs: Mapping[bytes, bytes], drop_foreign: bool) -> list[_Entry]:
    entries = []
    for name, value in xattrs.items():
        found = _find(name)
        if found is None:
            if drop_foreign:
                continue
            raise UnsupportedError(
                f"extended attribute {name[:64]!r} is in no namespace that ext4 has a place for",
                hint="leave it out of the tree, or let foreign attributes be dropped",
            )
        index, suffix = found
        if len(name) > MAX_XATTR_NAME:
            raise LimitExceededError(
                f"extended attribute {name[:64]!r}… has a name of {len(name)} bytes",
                limit="MAX_XATTR_NAME", value=MAX_XATTR_NAME,
            )  # fmt: skip
        if name in _WHOLE:
            value = _encode_acl(name, value)
            if len(value) == _EMPTY_ACL:  # which the kernel takes for none
                continue
        entries.append(_Entry(index, len(suffix), suffix, value))
    return entries


def _find(name: bytes) -> tuple[int, bytes] | None:
    """The index of a name's prefix, and the rest of it."""
    index = _WHOLE.get(name)
    if index is not None:
        return index, b""
    prefix, dot, suffix = name.partition(b".")
    index = _PREFIXES.get(prefix + dot)
    if index is None or not suffix or b"\0" in name:
        return None
    return index, suffix


def _encode_acl(name: bytes, value: bytes) -> bytes:
    """An access control list from the kernel's form to that on disk."""
    if len(value) % 8 != 4 or value[:4] != b"\2\0\0\0":
        raise InvalidImageError(f"{name.decode()} is no access control list of version 2")
    parts = [struct.pack("<I", 1)]
    for tag, permissions, owner in struct.iter_unpack("<HHI", value[4:]):
        if tag not in _ACL_TAGS or permissions > 7:
            raise InvalidImageError(f"{name.decode()} has an entry of tag {tag}")
        parts.append(struct.pack("<HH", tag, permissions))
        if tag in _ACL_NAMED:
            parts.append(struct.pack("<I", owner))
    return b"".join(parts)


def _encode_inside(entries: Sequence[_Entry]) -> bytes:
    if not entries:
        return b""
    return struct.pack("<I", _MAGIC) + _encode_area(entries, _INODE_AREA, 0)[0]


def _encode_block(entries: Sequence[_Entry]) -> bytes:
    if not entries:
        return b""
    area, hashes = _encode_area(entries, BLOCK - _HEADER.size, _HEADER.size)
    total = 0
    for value in hashes:
        total = (total << 16 ^ total >> 16 ^ value) & _MASK
    return _HEADER.pack(_MAGIC, 0, 1, total if all(hashes) else 0, 0) + area


def _encode_area(entries: Sequence[_Entry], size: int, start: int) -> tuple[bytes, list[int]]:
    """Entries and values in an area of so many bytes, and the entries' hashes.

    Offsets of values count from `start` bytes before the area.
    """
    head, values = bytearray(), b""
    hashes = []
    for prefix, length, name, value in entries:
        padded = value + bytes(-len(value) % 4)
        values = padded + values
        hashes.append(_hash_entry(name, padded))
        offset = start + size - len(values) if value else 0
        head += _ENTRY.pack(length, prefix, offset, 0, len(value), hashes[-1])
        head += name + bytes(-length % 4)
    return bytes(head) + bytes(size - len(head) - len(values)) + values, hashes


def _hash_entry(name: bytes, padded: bytes) -> int:
    value = 0
    for byte in name:
        value = (value << 5 ^ value >> 27 ^ byte) & _MASK
    for (word,) in struct.iter_unpack("<I", padded):
        value = (value << 16 ^ value >> 16 ^ word) & _MASK
    return value
