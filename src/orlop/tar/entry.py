"""Members of an archive as entries of a changeset.

A marker makes a whiteout whatever its type. As in containerd, `.wh..wh.NAME` is a whiteout of
`.wh.NAME`, which no layer can hold, so that the marks of AUFS (`.wh..wh.plnk`) do nothing.

Spec: image-spec v1.1, layer.md, "Whiteouts".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.tar.header import MalformedError, TooLargeError, UnknownError
from orlop.tar.names import WHITEOUT_PREFIX, normalise, shown
from orlop.tree import Link, Node, Opaque, Put, Whiteout
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.tar.limits import TarLimits
    from orlop.tar.member import Member
    from orlop.tar.sparse import Segments
    from orlop.tree import Entry

OPAQUE_NAME: Final = b".wh..wh..opq"
SYMLINK_PERMISSIONS: Final = 0o777
"""What Linux gives every symbolic link; archives of other systems say otherwise."""

REGULAR_KINDS: Final = frozenset({b"0", b"7", b"\0", b"S"})
_DIRECTORY_ENDS: Final = (b"/", b"/.")
_TYPES: Final = {
    b"2": S_IFLNK,
    b"3": S_IFCHR,
    b"4": S_IFBLK,
    b"5": S_IFDIR,
    b"6": S_IFIFO,
}


def special_entry(member: Member, limits: TarLimits, whiteouts: bool) -> Entry:
    """The entry of a member that has no data: all but regular files.

    Raises:
        UnsafeNameError: Its name, or the target of a hard link, has `..` in it.
        UnknownError: Its type is not supported.
        MalformedError: It has data, or what it says cannot be.
        TooLargeError: A name is over its limit.
    """
    kind = member.kind
    if kind != b"1" and kind not in _TYPES:
        raise UnknownError(f"members of type {kind!r} are not supported")
    if member.size:
        raise MalformedError(f"a member of type {kind!r} has {member.size} bytes of data")
    path = normalise(member.name, limits, whiteouts=whiteouts)
    if whiteouts and WHITEOUT_PREFIX in path:
        marker = _marker(path)
        if marker is not None:
            return marker
    if kind == b"1":
        return _link(path, member, limits)
    return _special(path, member, limits)


def _special(path: bytes, member: Member, limits: TarLimits) -> Put:
    mode = _TYPES[member.kind]
    if not path and mode != S_IFDIR:
        raise MalformedError("the root is not a directory")
    rdev, target, permissions = 0, b"", member.permissions
    if mode == S_IFLNK:
        target, permissions = _symlink_target(member.link, limits), SYMLINK_PERMISSIONS
    elif mode in (S_IFCHR, S_IFBLK):
        rdev = member.rdev
    node = Node(
        mode | permissions, member.uid, member.gid, member.mtime_ns, 0, rdev, target,
        member.xattrs,
    )  # fmt: skip
    return Put(path, node)


def _symlink_target(target: bytes, limits: TarLimits) -> bytes:
    if not target:
        raise MalformedError("a symbolic link has no target")
    if len(target) > limits.max_path_size:
        raise TooLargeError("the target of a symbolic link is too long", "max_path_size")
    return target


def _link(path: bytes, member: Member, limits: TarLimits) -> Link:
    if not member.link:
        raise MalformedError("a hard link has no target")
    target = normalise(member.link, limits)
    if not path or not target:
        raise MalformedError("a hard link of the root directory")
    if path == target:
        raise MalformedError("a hard link to itself")
    return Link(path, target)


def regular_entry(
    member: Member,
    limits: TarLimits,
    whiteouts: bool,
    source: Digest | None,
    offset: int,
    size: int,
    segments: Segments | None,
) -> Entry:
    """The entry of a regular file, or of a directory in the manner of V7.

    Args:
        member: The member.
        limits: Bounds of its names.
        whiteouts: Whether names with `.wh.` are markers.
        source: The store that the data lie in.
        offset: Where its data begin in the stream.
        size: Length of the file with its holes.
        segments: What is stored of a sparse file.

    Raises:
        UnsafeNameError: Its name has `..` in it.
        MalformedError: Readers disagree whether it is a directory.
        TooLargeError: Its name is over a limit.
    """
    path = normalise(member.name, limits, whiteouts=whiteouts)
    if whiteouts and WHITEOUT_PREFIX in path:
        marker = _marker(path)
        if marker is not None:
            return marker
    if member.name.endswith(_DIRECTORY_ENDS):
        return _v7_directory(path, member)
    if not path:
        raise MalformedError("the root is not a directory")
    if not size or segments == ():
        source, offset = None, 0
    node = Node(
        S_IFREG | member.permissions, member.uid, member.gid, member.mtime_ns, size, 0, b"",
        member.xattrs, source, offset, segments,
    )  # fmt: skip
    return Put(path, node)


def _v7_directory(path: bytes, member: Member) -> Put:
    if member.kind != b"\0" or member.size or member.name[-1:] != b"/":
        raise MalformedError("the name of a regular file ends in a slash")
    mode = S_IFDIR | member.permissions
    node = Node(mode, member.uid, member.gid, member.mtime_ns, xattrs=member.xattrs)
    return Put(path, node)


def _marker(path: bytes) -> Whiteout | Opaque | None:
    """What the name of a marker says; None when the last component is no marker."""
    directory, slash, name = path.rpartition(b"/")
    if not name.startswith(WHITEOUT_PREFIX):
        return None
    if name == OPAQUE_NAME:
        return Opaque(directory)
    hidden = name[len(WHITEOUT_PREFIX) :]
    if hidden in (b"", b".", b".."):
        raise MalformedError(f"the whiteout {shown(name)} names no file")
    return Whiteout(directory + slash + hidden)
