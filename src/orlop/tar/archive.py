"""Whole archives, from entries and the content of their files to the bytes of a tar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.tar.write import END_OF_ARCHIVE, encode_entry, padding
from orlop.tree import Link, Put, walk
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orlop.tree import Entry, Node

_CHUNK: Final = 1 << 20


def iter_archive(
    members: Iterable[tuple[Entry, Node | None]],
    content: Callable[[Node], Iterable[bytes]],
    *,
    whiteouts: bool = True,
) -> Iterator[bytes]:
    """The bytes of an archive, in pieces of about a mebibyte.

    Args:
        members: Entries, each with the inode that it makes or links to; none for removals.
        content: Gives all bytes of a regular file, holes as zeros.
        whiteouts: As for `encode_entry`.

    Raises:
        LimitExceededError: As `encode_entry`.
        UnsupportedError: As `encode_entry`.
        ValueError: As `encode_entry`.
    """
    buffer = bytearray()
    for entry, node in members:
        inode = node if type(entry) is Link else None
        buffer += encode_entry(entry, inode=inode, whiteouts=whiteouts)
        if len(buffer) >= _CHUNK:
            yield bytes(buffer)
            buffer.clear()
        if node is None or type(entry) is Link or node.type != S_IFREG:
            continue
        for piece in content(node):
            buffer += piece
            if len(buffer) >= _CHUNK:
                yield bytes(buffer)
                buffer.clear()
        buffer += padding(node.size)
    yield bytes(buffer + END_OF_ARCHIVE)


def tree_members(root: Node) -> Iterator[tuple[Put | Link, Node]]:
    """The members of an archive that makes a whole tree: parents first, and in byte order.

    The first name of an inode in that order makes it, the others are hard links to that.
    """
    first: dict[Node, bytes] = {}
    for path, node in walk(root):
        if node.is_dir:
            yield Put(path, node), node
            continue
        name = first.setdefault(node, path)
        yield (Put(path, node) if name is path else Link(path, name)), node
