"""Owners changed to others, and what else of an inode says whose it is.

That are user and group; the named users and groups of access control lists; and the namespace in
which a file capability is worth something, named by the id of that namespace's root:

    security.capability, version 2: of the namespace of the filesystem, 20 bytes
    security.capability, version 3: the same, and the id of a root, 24 bytes, little-endian

Without the last, a program that is copied for a container has its capability for nobody: the kernel
ignores one of version 2 in every other namespace.

Spec: capabilities(7), "Namespaced file capabilities"; acl(5).
"""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING, Final, TypeAlias

from orlop._sys.handle import Fd, fd_path
from orlop._sys.xattr import set_xattr_at, xattrs_at
from orlop.errors import NotFoundError
from orlop.rootfs.handles import Handles, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orlop.tree import Node

    ChangeOwner: TypeAlias = Callable[[int, int], tuple[int, int]]
    """Gives the user and group that replace these two; `IdMapping.to_host`, for instance."""

CAPABILITY: Final = b"security.capability"
_ACLS: Final = (b"system.posix_acl_access", b"system.posix_acl_default")
_REVISION: Final = 0xFF000000
_VERSION_2, _VERSION_3 = 0x02000000, 0x03000000
_SIZES: Final = {_VERSION_2: 20, _VERSION_3: 24}
_U32: Final = struct.Struct("<I")
_ACL_HEADER: Final = _U32.pack(2)
_ACL_ENTRY: Final = struct.Struct("<HHI")
_ACL_USER, _ACL_GROUP = 2, 8


def shift_owners(dir_fd: int, change: ChangeOwner) -> int:
    """Change the owners of a directory and of all below it; return how many inodes changed.

    Set-user-id bits, access control lists and file capabilities, which the kernel takes away with
    the owner, are there again afterwards, for those whom `change` gives. Links are not followed,
    mount points are left as they are, an inode with several names is changed once. After an error
    some have been changed and others not, and nothing says which: the caller throws the tree away.

    Args:
        dir_fd: The directory, which nobody else writes to; borrowed.
        change: Gives new user and group for old ones; what it raises ends the work.

    Raises:
        OSError: An owner cannot be changed, with the entry's path.
        UnsafePathError: A directory was exchanged meanwhile.
    """
    with Handles(Place(None, b"", dir_fd)) as handles:
        shifter = _Shifter(handles, change)
        try:
            return shifter.shift()
        except OSError as error:
            raise OSError(error.errno, error.strerror, shifter.where()) from error


def change_node(node: Node, change: ChangeOwner) -> None:
    """Give a node other owners, in its attributes too."""
    node.xattrs = change_xattrs(node.xattrs, change, node.uid, node.gid)
    node.uid, node.gid = change(node.uid, node.gid)


def change_xattrs(
    xattrs: Mapping[bytes, bytes], change: ChangeOwner, uid: int, gid: int
) -> Mapping[bytes, bytes]:
    """The attributes with other ids in capabilities and access control lists.

    Args:
        xattrs: All attributes of an inode.
        change: Gives new user and group for old ones.
        uid: The inode's user before the change, asked together with a named group.
        gid: The inode's group, likewise.
    """
    changed = dict(xattrs)
    if CAPABILITY in changed:
        changed[CAPABILITY] = _change_capability(changed[CAPABILITY], change, gid)
    for name in _ACLS:
        if name in changed:
            changed[name] = _change_acl(changed[name], change, uid, gid)
    return changed if changed != xattrs else xattrs


def _change_capability(value: bytes, change: ChangeOwner, gid: int) -> bytes:
    magic = _U32.unpack_from(value)[0] if len(value) >= _U32.size else 0
    if _SIZES.get(magic & _REVISION) != len(value):
        return value  # of a version that names no root, or of none
    root = _U32.unpack_from(value, 20)[0] if len(value) > 20 else 0
    try:
        root = change(root, gid)[0]
    except NotFoundError:
        if root:
            raise
        return value  # of the machine's own root, who is nobody on the other side
    version = _VERSION_3 if root else _VERSION_2
    tail = _U32.pack(root) if root else b""
    return _U32.pack(magic & ~_REVISION | version) + value[4:20] + tail


def _change_acl(value: bytes, change: ChangeOwner, uid: int, gid: int) -> bytes:
    if value[:4] != _ACL_HEADER or (len(value) - 4) % _ACL_ENTRY.size:
        return value
    changed = bytearray(_ACL_HEADER)
    for tag, permissions, number in _ACL_ENTRY.iter_unpack(value[4:]):
        if tag == _ACL_USER:
            number = change(number, gid)[0]
        elif tag == _ACL_GROUP:
            number = change(uid, number)[1]
        changed += _ACL_ENTRY.pack(tag, permissions, number)
    return bytes(changed)


class _Shifter:
    def __init__(self, handles: Handles, change: ChangeOwner) -> None:
        self._handles = handles
        self._change = change
        self._place = handles.root
        self._name = b""
        self._device = os.fstat(handles.root.fd).st_dev
        self._seen: set[int] = set()
        self._count = 0

    def where(self) -> bytes:
        """The path of the entry at hand."""
        return self._place.path(self._name)

    def shift(self) -> int:
        root = self._handles.root.fd
        self._shift(root, b".", os.fstat(root))
        stack = [self._entries()]
        while stack:
            if self._enter_next(stack[-1]):
                stack.append(self._entries())
                continue
            stack.pop()
            if self._place.parent is not None:
                self._handles.leave(self._place)
                self._place = self._place.parent
        return self._count

    def _entries(self) -> Iterator[bytes]:
        return iter([os.fsencode(name) for name in os.listdir(self._handles.get(self._place))])

    def _enter_next(self, names: Iterator[bytes]) -> bool:
        """Change entries until one is a directory, which is entered."""
        dir_fd = self._handles.get(self._place)
        for name in names:
            self._name = name
            found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            is_directory = stat.S_ISDIR(found.st_mode)
            if found.st_dev != self._device:
                continue
            if is_directory or found.st_nlink == 1 or found.st_ino not in self._seen:
                self._shift(dir_fd, name, found)
            if is_directory:
                self._place, self._name = Place(self._place, name), b""
                return True
            if found.st_nlink > 1:
                self._seen.add(found.st_ino)
        return False

    def _shift(self, dir_fd: int, name: bytes, found: os.stat_result) -> None:
        uid, gid = found.st_uid, found.st_gid
        before = {} if stat.S_ISLNK(found.st_mode) else xattrs_at(dir_fd, name)
        after = change_xattrs(before, self._change, uid, gid)
        owner = self._change(uid, gid)
        if owner == (uid, gid) and after is before:
            return
        os.chown(name, *owner, dir_fd=dir_fd, follow_symlinks=False)
        if found.st_mode & 0o6000 and stat.S_ISREG(found.st_mode):
            _set_mode(dir_fd, name, stat.S_IMODE(found.st_mode))
        for key in (CAPABILITY, *_ACLS):
            if key in after:
                set_xattr_at(dir_fd, name, key, after[key])
        self._count += 1


def _set_mode(dir_fd: int, name: bytes, mode: int) -> None:
    """Set permission bits of what is no link, and fail if it has become one."""
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    with Fd(os.open(name, flags, dir_fd=dir_fd)) as file:
        os.chmod(fd_path(file), mode)
