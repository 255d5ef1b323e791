"""The bytes of a file of a tree, piece by piece, with the holes of sparse ones filled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop.errors import ConflictError, InvalidLayerError, OrlopError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.digest import Digest
    from orlop.tree import Node

PIECE: Final = 1 << 20
"""Bytes that a piece has, unless it is the last one."""
_ZEROS: Final = bytes(PIECE)


def iter_pieces(node: Node, open_source: Callable[[Digest], int]) -> Iterator[bytes]:
    """All bytes of a regular file, in pieces of `PIECE` bytes whatever they are stored as.

    Args:
        node: The file.
        open_source: Returns a handle of the bytes that a source names; asked for each piece.

    Raises:
        InvalidLayerError: The tar that is stored ends before the file does.
        ConflictError: The file of a directory does: somebody has cut it off meanwhile.
        OSError: It cannot be read.
    """
    for start in range(0, node.size, PIECE):
        size = min(PIECE, node.size - start)
        yield _read(node, start, size, open_source)


def _read(node: Node, start: int, size: int, open_source: Callable[[Digest], int]) -> bytes:
    if node.source is None:
        return _ZEROS[:size]
    fd = open_source(node.source)
    if node.segments is None:
        return _read_all(fd, node, node.offset + start, size)
    piece = bytearray(size)
    stored = node.offset
    for begin, length in node.segments:
        first, last = max(begin, start), min(begin + length, start + size)
        if first < last:
            data = _read_all(fd, node, stored + first - begin, last - first)
            piece[first - start : last - start] = data
        stored += length
    return bytes(piece)


def _read_all(fd: int, node: Node, offset: int, size: int) -> bytes:
    data = os.pread(fd, size, offset)
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            raise _short(fd, node)
        data += more
    return data


def _short(fd: int, node: Node) -> OrlopError:
    """The error of what ends too early; a tar has a header before any content, a file has none."""
    path = os.readlink(b"/proc/self/fd/%d" % fd).decode("utf-8", "backslashreplace")
    if node.offset:
        return InvalidLayerError("ends inside the content of a file", where=path)
    return ConflictError(
        f"{path}: was cut off while it was read", hint="let nothing write to it, and try again"
    )
