"""Extended attributes of an inode, between bytes and names.

    0      u32    name_filter       not used without COMPAT_XATTR_FILTER: 0
    4      u8     shared_count
    5      u8[7]                    0
    12     u32[…] shared_ids        where shared entries lie, in units of 4 bytes
           entries, each padded to 4 bytes:
    0      u8     name_len          of the name without its prefix
    1      u8     name_index        which prefix
    2      u16    value_len
    4      name, value

Spec: Linux, fs/erofs/erofs_fs.h, `struct erofs_xattr_ibody_header` and `erofs_xattr_entry`.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, LimitExceededError, UnsupportedError
from orlop.fsimage.erofs.format import (
    MAX_XATTR_AREA,
    MAX_XATTR_NAME,
    MAX_XATTR_VALUE,
    XATTR_ENTRY,
    XATTR_ENTRY_SIZE,
    XATTR_HEADER,
    XATTR_HEADER_SIZE,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WHOLE: Final = MappingProxyType({b"system.posix_acl_access": 2, b"system.posix_acl_default": 3})
_PREFIXES: Final = MappingProxyType({b"user.": 1, b"trusted.": 4, b"security.": 6})
_NAMES: Final = MappingProxyType({i: name for name, i in (*_WHOLE.items(), *_PREFIXES.items())})


def representable(name: bytes) -> bool:
    """Whether EROFS has a place for an attribute of this name's namespace."""
    return _find(name) is not None


def encode_xattrs(xattrs: Mapping[bytes, bytes], *, drop_foreign: bool = False) -> bytes:
    """The bytes that follow an inode with these attributes, sorted by name; none for none.

    Args:
        xattrs: Values by full name.
        drop_foreign: Whether names that are not `representable` are left out, and not refused.

    Raises:
        UnsupportedError: A name is in a namespace that EROFS has no index for.
        LimitExceededError: A name, a value or all together are too long.
    """
    names = sorted(filter(representable, xattrs) if drop_foreign else xattrs)
    if not names:
        return b""
    area = XATTR_HEADER.pack(0, 0) + b"".join(_encode(name, xattrs[name]) for name in names)
    if len(area) > MAX_XATTR_AREA:
        raise LimitExceededError(
            f"extended attributes take {len(area)} bytes",
            limit="MAX_XATTR_AREA", value=MAX_XATTR_AREA,
        )  # fmt: skip
    return area


def _encode(name: bytes, value: bytes) -> bytes:
    index, suffix = _split(name)
    if len(name) > MAX_XATTR_NAME:
        raise LimitExceededError(
            f"extended attribute {name[:64]!r}… has a name of {len(name)} bytes",
            limit="MAX_XATTR_NAME", value=MAX_XATTR_NAME,
        )  # fmt: skip
    if len(value) > MAX_XATTR_VALUE:
        raise LimitExceededError(
            f"extended attribute {name!r} has {len(value)} bytes",
            limit="MAX_XATTR_VALUE", value=MAX_XATTR_VALUE,
        )  # fmt: skip
    entry = XATTR_ENTRY.pack(len(suffix), index, len(value)) + suffix + value
    return entry + bytes(-len(entry) % 4)


def _split(name: bytes) -> tuple[int, bytes]:
    found = _find(name)
    if found is None:
        raise UnsupportedError(
            f"extended attribute {name[:64]!r} is in no namespace that EROFS has",
            hint="leave it out of the tree: Linux has no place for it on any filesystem",
        )
    return found


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


def decode_header(area: bytes) -> tuple[int, tuple[int, ...]]:
    """The name filter and the ids of the shared entries at the head of an attribute area.

    Raises:
        InvalidImageError: The area is too short for what it says to hold.
    """
    name_filter, count = XATTR_HEADER.unpack_from(area)
    end = XATTR_HEADER_SIZE + 4 * count
    if end > len(area):
        raise InvalidImageError(f"{count} shared attributes in an area of {len(area)} bytes")
    return name_filter, struct.unpack_from(f"<{count}I", area, XATTR_HEADER_SIZE)


def decode_entries(area: bytes, start: int) -> Iterator[tuple[bytes, bytes, int]]:
    """Name, value and end of each entry of an area from `start` on.

    Raises:
        InvalidImageError: An entry crosses the end of the area.
        UnsupportedError: A name's prefix is unknown.
    """
    while start + XATTR_ENTRY_SIZE <= len(area):
        name, value, start = decode_entry(area, start)
        yield name, value, start


def decode_entry(area: bytes, start: int) -> tuple[bytes, bytes, int]:
    """Name and value of the entry at `start`, and where the next one begins.

    Raises:
        InvalidImageError: The entry crosses the end of the area.
        UnsupportedError: The name's prefix is unknown.
    """
    length, index, value_length = XATTR_ENTRY.unpack_from(area, start)
    middle = start + XATTR_ENTRY_SIZE + length
    end = middle + value_length
    if end > len(area):
        raise InvalidImageError("an extended attribute crosses the end of its area")
    prefix = _NAMES.get(index)
    if prefix is None:
        raise UnsupportedError(f"extended attribute with the unknown prefix {index}")
    name = prefix + area[start + XATTR_ENTRY_SIZE : middle]
    return name, area[middle:end], end + -end % 4
