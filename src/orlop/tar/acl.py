"""The POSIX access control list among extended attributes, which says the permission bits again.

    0    u32   version        2
    entries of 8 bytes, ascending by tag:
    0    u16   tag            1 owner, 2 some user, 4 group, 8 some group, 16 mask, 32 others
    2    u16   permissions    0 to 7
    4    u32   id             of the user or group; else 0xFFFFFFFF

Spec: Linux, include/uapi/linux/posix_acl_xattr.h; acl(5), "CORRESPONDENCE BETWEEN ACL ENTRIES AND
FILE PERMISSION BITS".
"""

from __future__ import annotations

import struct
from typing import Final

ACCESS_ACL: Final = b"system.posix_acl_access"

_HEADER: Final = struct.pack("<I", 2)
_ENTRY: Final = struct.Struct("<HHI")
_OWNER, _GROUP, _MASK, _OTHERS = 1, 4, 16, 32


def decode_permissions(acl: bytes) -> int | None:
    """The permission bits that a file with this list has; None if it is no list.

    Linux gives a file these bits when the list is set, whatever it had before.
    """
    if acl[:4] != _HEADER or (len(acl) - 4) % _ENTRY.size:
        return None
    found: dict[int, int] = {
        tag: permissions & 7 for tag, permissions, _ in _ENTRY.iter_unpack(acl[4:])
    }
    if not found.keys() >= {_OWNER, _GROUP, _OTHERS}:
        return None
    return found[_OWNER] << 6 | found.get(_MASK, found[_GROUP]) << 3 | found[_OTHERS]


def is_trivial(acl: bytes) -> bool:
    """Whether a list says no more than permission bits do; Linux keeps none such."""
    return len(acl) == len(_HEADER) + 3 * _ENTRY.size
