"""Trees to test readers and writers of filesystems with: one that has everything in it."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.digest import Digest
from orlop.tree.node import (
    S_IFBLK,
    S_IFCHR,
    S_IFIFO,
    S_IFLNK,
    S_IFREG,
    S_IFSOCK,
    Node,
    directory,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    Described: TypeAlias = dict[bytes, tuple[object, ...]]

_SECOND: Final = 1_000_000_000
_ACL: Final = bytes.fromhex(
    "0200000001000600ffffffff020004000500000004000400ffffffff10000400ffffffff20000400ffffffff"
)


class Bytes:
    """A byte store in memory, as a tar is for the nodes of a layer.

    Args:
        name: What its digest is made of.
        align: What offsets of added content are multiples of, in bytes.
    """

    def __init__(self, name: bytes = b"layer", align: int = 512) -> None:
        self.source = Digest.of(name)
        self.align = align
        self.data = bytearray(align)

    @property
    def size(self) -> int:
        """Bytes in the store, a multiple of the alignment."""
        return len(self.data)

    def add(self, content: bytes, shift: int = 0) -> int:
        """Append content, `shift` bytes after an aligned offset, and return its offset."""
        self.data += bytes(shift)
        offset = len(self.data)
        self.data += content
        self.data += bytes(-len(self.data) % self.align)
        return offset

    def read(self, source: Digest, offset: int, size: int) -> bytes:
        """Bytes of the store, if it is the source."""
        return bytes(self.data[offset : offset + size]) if source == self.source else b""

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Bytes of the store."""
        return bytes(self.data[offset : offset + size])

    def file(self, content: bytes, mode: int = 0o644, shift: int = 0) -> Node:
        """A file stored whole."""
        offset = self.add(content, shift)
        return Node(S_IFREG | mode, size=len(content), source=self.source, offset=offset)

    def sparse(self, segments: Sequence[tuple[int, bytes]], size: int) -> Node:
        """A file with holes: where each segment begins, and its bytes."""
        offset = self.add(b"".join(content for _, content in segments))
        return Node(
            S_IFREG | 0o644,
            size=size,
            source=self.source,
            offset=offset,
            segments=tuple((start, len(content)) for start, content in segments),
        )


def everything(store: Bytes) -> Node:
    """A tree with every type of inode and every field at its limits, its content in the store."""
    noise = random.Random(0).randbytes  # noqa: S311
    root = directory(0o755, mtime_ns=-5)
    assert root.children is not None
    add = root.children
    add[b"etc"] = directory(0o1777, 100_000, 65_536, 2**33 * _SECOND + 999_999_999)
    add[b"epoch"] = directory(0o700, 65_535, 65_535)
    add[b"empty"] = Node(S_IFREG | 0o600, mtime_ns=-1)
    linked = add[b"one"] = store.file(noise(5000))
    linked.uid = 4_294_967_294
    add[b"two"] = add[b"!before dot"] = linked
    add[b"setuid"] = store.file(noise(4096), 0o6755)
    add[b"short"] = store.file(b"x")
    add[b"link"] = Node(S_IFLNK | 0o777, target=b"etc/name")
    add[b"loop"] = Node(S_IFLNK | 0o777, target=b"loop")
    add[b"long link"] = Node(S_IFLNK | 0o777, mtime_ns=7, target=b"t" * 700)
    add[b"longest link"] = Node(S_IFLNK | 0o777, target=b"/".join([b"d" * 15] * 256)[:4095])
    add[b"char"] = Node(S_IFCHR | 0o666, rdev=os.makedev(4095, 1_048_575))
    add[b"null"] = Node(S_IFCHR | 0o666, rdev=os.makedev(0, 0))
    add[b"block"] = Node(S_IFBLK | 0o660, rdev=os.makedev(8, 255))
    add[b"pipe"] = Node(S_IFIFO | 0o644, mtime_ns=1)
    add[b"socket"] = Node(S_IFSOCK | 0o644)
    add[b"\xff\xfe not text \n"] = Node(S_IFREG | 0o644)
    add[b"n" * 255] = directory()
    _add_xattrs(add)
    _add_sparse(add, store, noise(20_000))
    _add_large(add)
    return root


def _add_xattrs(add: dict[bytes, Node]) -> None:
    add[b"xattrs"] = Node(
        S_IFREG | 0o644,
        xattrs={
            b"user.empty": b"",
            b"user.note": bytes(range(256)),
            b"user.large": b"v" * 3000,
            b"user." + b"n" * 250: b"long name",
            b"trusted.overlay.opaque": b"y",
            b"security.capability": b"\x01\0\0\x02" + bytes(16),
        },
    )
    acl = add[b"acl"] = directory(0o764)
    acl.xattrs = {b"system.posix_acl_access": _ACL, b"system.posix_acl_default": _ACL}
    add[b"xattr link"] = Node(S_IFLNK | 0o777, target=b"x" * 300, xattrs={b"trusted.t": b"v" * 100})


def _add_sparse(add: dict[bytes, Node], store: Bytes, noise: bytes) -> None:
    page = noise[:4096]
    add[b"hole"] = Node(S_IFREG | 0o644, size=10**12, segments=())
    add[b"holes"] = store.sparse([(0, page), (4 * 4096, page), (9 * 4096, noise[:5])], 9 * 4096 + 5)
    add[b"end hole"] = store.sparse([(4096, page)], 10**7)


def _add_large(add: dict[bytes, Node]) -> None:
    large = add[b"large"] = directory()
    assert large.children is not None
    for number in range(700):
        large.children[b"entry-%d" % number] = Node(S_IFREG | 0o644, mtime_ns=number * _SECOND)
    deep = add[b"deep"] = directory()
    for _ in range(60):
        below = directory()
        assert deep.children is not None
        deep.children[b"down"] = below
        deep = below


def describe(root: Node) -> Described:
    """All that a tree says, by path, in a form that compares equal for equal trees.

    An inode with several names is named by the first of them; segments that touch are joined.
    """
    first: dict[int, bytes] = {}
    return {
        path: (first.setdefault(id(node), path), *describe_node(node)) for path, node in walk(root)
    }


def describe_node(node: Node) -> tuple[object, ...]:
    """All that a node says of itself."""
    segments = _joined(node)
    stored = bool(node.size) and segments != ()
    return (
        node.mode, node.uid, node.gid, node.mtime_ns, node.size, node.rdev, node.target,
        sorted(node.xattrs.items()), node.source if stored else None,
        node.offset if stored else 0, segments,
    )  # fmt: skip


def _joined(node: Node) -> tuple[tuple[int, int], ...] | None:
    if node.segments is None or not node.size:
        return None
    joined: list[tuple[int, int]] = []
    for start, length in node.segments:
        if joined and sum(joined[-1]) == start:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        elif length:
            joined.append((start, length))
    return None if joined == [(0, node.size)] else tuple(joined)


def content(node: Node, store: Bytes) -> bytes:
    """The bytes of a file, its holes as zeros."""
    data = bytearray(node.size)
    offset = node.offset
    for start, length in ((0, node.size),) if node.segments is None else node.segments:
        data[start : start + length] = store.data[offset : offset + length]
        offset += length
    return bytes(data)
