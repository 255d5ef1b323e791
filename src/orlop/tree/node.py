"""The inode of the tree model, and the constants that its mode is made of.

A tree is a directory node; what hangs below it is the tree. Two names of one inode (a hard link)
are two children entries with the same `Node` object. Names and paths inside an image are bytes.
"""

from __future__ import annotations

import stat
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orlop.digest import Digest

S_IFMT: Final = 0o170000
S_IFDIR: Final = stat.S_IFDIR
S_IFREG: Final = stat.S_IFREG
S_IFLNK: Final = stat.S_IFLNK
S_IFCHR: Final = stat.S_IFCHR
S_IFBLK: Final = stat.S_IFBLK
S_IFIFO: Final = stat.S_IFIFO
S_IFSOCK: Final = stat.S_IFSOCK

NO_XATTRS: Final[Mapping[bytes, bytes]] = MappingProxyType({})

type_letters: Final = MappingProxyType(
    {
        S_IFDIR: "d",
        S_IFREG: "f",
        S_IFLNK: "l",
        S_IFCHR: "c",
        S_IFBLK: "b",
        S_IFIFO: "p",
        S_IFSOCK: "s",
    }
)


class Node:
    """One inode: what it is, whose it is, and where its bytes lie.

    Plain and slotted rather than frozen, because a tree has a hundred thousand of them; only the
    directories of a tree are ever changed, and only by the functions of this package.

    Attributes:
        mode: Type and permission bits, as in `st_mode`.
        uid: Owner, 0 to 2**32 - 2.
        gid: Group, 0 to 2**32 - 2.
        mtime_ns: Time of last modification, in nanoseconds since 1970; may be negative.
        size: Length of a regular file in bytes, with its holes; 0 for all others.
        rdev: Device number of a character or block device, as `os.makedev` makes it.
        target: What a symbolic link says, byte for byte.
        xattrs: Extended attributes by full name, such as `b"user.note"`.
        source: Names the byte store that holds a regular file's content: a layer's diffID, or
            None where the file is empty or nothing but a hole.
        offset: Where in `source` the content begins, in bytes.
        segments: None for a file stored whole; for a sparse file the pairs (start, length) in the
            file of what is stored, ascending, the stored bytes one after another from `offset`.
        children: The entries of a directory by name; None for all others.
    """

    __slots__ = (
        "children", "gid", "mode", "mtime_ns", "offset", "rdev", "segments", "size", "source",
        "target", "uid", "xattrs",
    )  # fmt: skip

    def __init__(
        self,
        mode: int,
        uid: int = 0,
        gid: int = 0,
        mtime_ns: int = 0,
        size: int = 0,
        rdev: int = 0,
        target: bytes = b"",
        xattrs: Mapping[bytes, bytes] = NO_XATTRS,
        source: Digest | None = None,
        offset: int = 0,
        segments: tuple[tuple[int, int], ...] | None = None,
    ) -> None:
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime_ns = mtime_ns
        self.size = size
        self.rdev = rdev
        self.target = target
        self.xattrs = xattrs
        self.source = source
        self.offset = offset
        self.segments = segments
        self.children: dict[bytes, Node] | None = {} if mode & S_IFMT == S_IFDIR else None

    @property
    def type(self) -> int:
        """The type bits of the mode, one of the `S_IF…` constants."""
        return self.mode & S_IFMT

    @property
    def is_dir(self) -> bool:
        """Whether this is a directory."""
        return self.children is not None

    def __repr__(self) -> str:
        kind = type_letters.get(self.type, "?")
        return f"<Node {kind} {self.mode & 0o7777:04o} {self.uid}:{self.gid}>"


def directory(mode: int = 0o755, uid: int = 0, gid: int = 0, mtime_ns: int = 0) -> Node:
    """A new, empty directory."""
    return Node(S_IFDIR | mode, uid, gid, mtime_ns)


def copy_directories(root: Node) -> Node:
    """The same tree with directories of its own; all other nodes are those of the old one.

    Whatever is applied to one of the two leaves the other as it is.
    """
    copy = _copy_directory(root)
    fresh = [copy]
    while fresh:
        children = fresh.pop().children or {}
        for name, node in children.items():
            if node.children is not None:
                children[name] = _copy_directory(node)
                fresh.append(children[name])
    return copy


def _copy_directory(node: Node) -> Node:
    copy = Node(node.mode, node.uid, node.gid, node.mtime_ns, xattrs=node.xattrs)
    copy.children = dict(node.children or {})
    return copy


def walk(root: Node) -> Iterator[tuple[bytes, Node]]:
    """Every path of the tree with its node, the root as `b""` first, each directory in byte order.

    A node with several names comes once under each of them.
    """
    yield b"", root
    # A path is made when its turn comes: a deep directory may have a million entries.
    prefix = b""
    stack = [(0, _in_order(root))]
    while stack:
        length, entries = stack[-1]
        prefix = prefix[:length]
        for name, node in entries:
            yield prefix + name, node
            if node.children:
                prefix += name + b"/"
                stack.append((len(prefix), _in_order(node)))
                break
        else:
            stack.pop()


def _in_order(node: Node) -> Iterator[tuple[bytes, Node]]:
    children = node.children or {}
    return ((name, children[name]) for name in sorted(children))
