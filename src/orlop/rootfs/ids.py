"""Users and groups inside extended attributes, turned into others.

    system.posix_acl_*     the id of each entry for some user (tag 2) or some group (tag 8)
    security.capability    version 3: the id that is root where the capabilities count, last; where
                           that becomes 0, version 2, which has none

Spec: Linux, include/uapi/linux/posix_acl_xattr.h and include/uapi/linux/capability.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

MapIds: TypeAlias = Callable[[int, int], tuple[int, int]]
"""Takes a user and a group, and returns the ones that they become."""

_ACL: Final = b"system.posix_acl_"
_ACL_HEADER: Final = struct.pack("<I", 2)
_ACL_ENTRY: Final = struct.Struct("<HHI")
_USER, _GROUP = 2, 8
_CAPABILITY: Final = b"security.capability"
_CAPABILITIES: Final = struct.Struct("<I16sI")
_VERSION_2, _VERSION_3 = 0x02000000, 0x03000000
_EFFECTIVE: Final = 1


def map_xattrs(
    xattrs: Mapping[bytes, bytes], map_ids: MapIds, uid: int, gid: int
) -> dict[bytes, bytes]:
    """The attributes with the ids in them mapped; what is none of the known forms stays.

    Args:
        xattrs: The attributes of one inode.
        map_ids: Maps the ids.
        uid: The inode's user, for where only a group is to be mapped: certainly it can be.
        gid: The inode's group, likewise.
    """
    mapper = _Mapper(map_ids, uid, gid)
    return {name: mapper.map(name, value) for name, value in xattrs.items()}


class _Mapper:
    def __init__(self, map_ids: MapIds, uid: int, gid: int) -> None:
        self._map_ids = map_ids
        self._uid = uid
        self._gid = gid

    def map(self, name: bytes, value: bytes) -> bytes:
        if name.startswith(_ACL):
            return self._acl(value)
        if name == _CAPABILITY and len(value) == _CAPABILITIES.size:
            return self._capability(value)
        return value

    def _user(self, uid: int) -> int:
        return self._map_ids(uid, self._gid)[0]

    def _group(self, gid: int) -> int:
        return self._map_ids(self._uid, gid)[1]

    def _acl(self, acl: bytes) -> bytes:
        if acl[:4] != _ACL_HEADER or (len(acl) - 4) % _ACL_ENTRY.size:
            return acl
        entries = []
        for tag, permissions, who in _ACL_ENTRY.iter_unpack(acl[4:]):
            if tag == _USER:
                who = self._user(who)
            elif tag == _GROUP:
                who = self._group(who)
            entries.append((tag, who, permissions))
        # The kernel gives users, and groups, in ascending order.
        return _ACL_HEADER + b"".join(
            _ACL_ENTRY.pack(tag, permissions, who) for tag, who, permissions in sorted(entries)
        )

    def _capability(self, value: bytes) -> bytes:
        magic, sets, root = _CAPABILITIES.unpack(value)
        if magic & ~_EFFECTIVE != _VERSION_3:
            return value
        root = self._user(root)
        if root == 0:
            return struct.pack("<I16s", _VERSION_2 | magic & _EFFECTIVE, sets)
        return _CAPABILITIES.pack(magic, sets, root)
