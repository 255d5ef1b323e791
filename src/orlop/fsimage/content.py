"""The content of files as bytes, holes as zeros, for all writers of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidLayerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.digest import Digest
    from orlop.tree.node import Node

_PIECE: Final = 1 << 18
_ZEROS: Final = bytes(_PIECE)


def iter_zeros(size: int) -> Iterator[bytes]:
    """`size` zero bytes in pieces."""
    while size > 0:
        yield _ZEROS[:size]
        size -= _PIECE


def iter_content(
    node: Node, start: int, end: int, read: Callable[[Digest, int, int], bytes]
) -> Iterator[bytes]:
    """The bytes of a file from `start` to `end` in pieces, holes as zeros.

    Args:
        node: A regular file with a source.
        start: Offset in the file.
        end: Offset in the file, not over its size.
        read: Gives bytes of a source at an offset, as many as asked for.

    Raises:
        InvalidLayerError: The source has fewer bytes.
    """
    stored = node.offset
    for first, length in ((0, node.size),) if node.segments is None else node.segments:
        low, high = max(start, first), min(end, first + length)
        if low < high:
            yield from iter_zeros(low - start)
            yield from _iter_stored(node, stored + low - first, high - low, read)
            start = high
        stored += length
    yield from iter_zeros(end - start)


def _iter_stored(
    node: Node, offset: int, size: int, read: Callable[[Digest, int, int], bytes]
) -> Iterator[bytes]:
    assert node.source is not None
    while size:
        wanted = min(size, _PIECE)
        piece = read(node.source, offset, wanted)
        if len(piece) != wanted:
            raise InvalidLayerError(
                f"{wanted} bytes at {offset} of {node.source} came as {len(piece)}"
            )
        yield piece
        offset += wanted
        size -= wanted
