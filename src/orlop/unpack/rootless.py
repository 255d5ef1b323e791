"""What a user without privilege cannot make, kept so that it is not lost: as umoci keeps it.

| in the image              | in the directory                                          |
| ------------------------- | --------------------------------------------------------- |
| owner of a file or a      | the xattr `user.rootlesscontainers`, a protobuf message   |
| directory, unless 0:0     | of two uint32: field 1 user, field 2 group                |
| owner of anything else    | nothing: only files and directories have such attributes  |
| device                    | an empty file of its permissions, with the same attribute |
| privileged attribute      | nothing                                                   |

A field that is missing is 0, and so is one that is 2**32 - 1, which is how umoci writes a 0. What
nobody may write to has no attribute from umoci, and has its owner still.

Spec: rootlesscontaine.rs, proto/rootlesscontainers.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFMT, S_IFREG, Node

if TYPE_CHECKING:
    from collections.abc import Mapping

Kept: TypeAlias = Literal["all", "owners", "nothing"]
"""What who wrote a directory could make: all that is in the image, or owners but no devices and
privileged attributes, or neither."""

XATTR: Final = b"user.rootlesscontainers"
_NOBODY: Final = 2**32 - 1
_PRIVILEGED: Final = (b"trusted.", b"security.")
_DEVICES: Final = frozenset({S_IFBLK, S_IFCHR})
_OWNED: Final = frozenset({S_IFREG, S_IFDIR, *_DEVICES})
_UID, _GID = 0x08, 0x10
_WRITE: Final = 0o200
_MAX_VARINT: Final = 10


def encode_owner(uid: int, gid: int) -> bytes:
    """The value of the attribute; empty for 0:0, which needs none."""
    if not (uid or gid):
        return b""
    return b"".join(
        bytes([key]) + _varint(number or _NOBODY) for key, number in ((_UID, uid), (_GID, gid))
    )


def decode_owner(value: bytes) -> tuple[int, int] | None:
    """The user and group of an attribute; None where it is none, as others may have written it."""
    found = {_UID: 0, _GID: 0}
    at = 0
    while at < len(value):
        key = value[at]
        number, shift, end = 0, 0, min(len(value), at + 1 + _MAX_VARINT)
        for at in range(at + 1, end):  # noqa: B020
            number |= (value[at] & 0x7F) << shift
            shift += 7
            if value[at] < 0x80:
                break
        else:
            return None
        at += 1
        if key not in found or number > _NOBODY:
            return None
        found[key] = 0 if number == _NOBODY else number
    return found[_UID], found[_GID]


def disguise(root: Node, *, owners: bool) -> Node:
    """A tree that this user can write, of one that it cannot; `root` stays as it is.

    Args:
        root: The tree.
        owners: Whether owners need no disguise: this user is root of a user namespace.
    """
    copies: dict[Node, Node] = {}
    top = _disguised(root, owners)
    stack = [(root, top)]
    while stack:
        old, new = stack.pop()
        assert new.children is not None
        for name, node in (old.children or {}).items():
            copy = copies.get(node)
            if copy is None:
                copy = copies[node] = _disguised(node, owners)
                if node.is_dir:
                    stack.append((node, copy))
            new.children[name] = copy
    return top


def reveal(node: Node, before: Node | None, kept: Kept) -> None:
    """Give an inode as it lies in a directory what it is to have in the image.

    Args:
        node: The inode, which is changed.
        before: What the image has under its name.
        kept: What who wrote the directory could make.
    """
    if kept != "all" and before is not None and _stands_for(node, before):
        node.mode = before.type | node.mode & 0o7777
        node.rdev = before.rdev
    same = before is not None and before.type == node.type
    if kept == "nothing":
        noted = decode_owner(node.xattrs.get(XATTR, b""))
        if XATTR in node.xattrs:
            node.xattrs = {name: value for name, value in node.xattrs.items() if name != XATTR}
        elif before is not None and same and not (node.type in _OWNED and node.mode & _WRITE):
            noted = before.uid, before.gid
        node.uid, node.gid = noted or (0, 0)
    if before is not None and same and before.mtime_ns == node.mtime_ns:
        _restore(node, before.xattrs, privileged=kept == "all")


def _restore(node: Node, before: Mapping[bytes, bytes], *, privileged: bool) -> None:
    """Give back the attributes that could not be set, to what was not written to since."""
    lost = {
        name: value
        for name, value in before.items()
        if name not in node.xattrs
        and not (
            (name.startswith(_PRIVILEGED) and privileged)
            or name.startswith(b"system.posix_acl_")
            or (name.startswith(b"user.") and node.type in {S_IFREG, S_IFDIR})
        )
    }
    if lost:
        node.xattrs = {**node.xattrs, **lost}


def _stands_for(node: Node, before: Node) -> bool:
    return before.type in _DEVICES and node.type == S_IFREG and not node.size


def _disguised(node: Node, owners: bool) -> Node:
    mode, rdev = node.mode, node.rdev
    if node.type in _DEVICES and rdev:  # Anybody may make whiteouts.
        mode, rdev = S_IFREG | node.mode & ~S_IFMT, 0
    xattrs = node.xattrs
    owner = b"" if owners else encode_owner(node.uid, node.gid)
    if owner and mode & S_IFMT in {S_IFREG, S_IFDIR}:
        xattrs = {**xattrs, XATTR: owner}
    return Node(
        mode, node.uid, node.gid, node.mtime_ns, node.size, rdev, node.target, xattrs, node.source,
        node.offset, node.segments,
    )  # fmt: skip


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
