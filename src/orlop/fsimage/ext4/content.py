"""The content of files: which blocks of a file are stored, and its bytes in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidLayerError
from orlop.fsimage.ext4.format import BLOCK_BITS, blocks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.fsimage.output import ReadContent
    from orlop.tree.node import Node

PIECE: Final = 1 << 20
"""Bytes that are read at once, at most."""


def stored_runs(node: Node) -> list[tuple[int, int]]:
    """The blocks of a file with holes that something is stored in: first one and how many.

    Raises:
        InvalidLayerError: What is stored overlaps or ends behind the file.
    """
    runs: list[tuple[int, int]] = []
    at = border = 0
    for start, length in node.segments or ():
        if start < at or length < 0 or start + length > node.size:
            raise InvalidLayerError(f"{length} bytes at {start} of a file are out of place")
        if not length:
            continue
        at = start + length
        first, end = start >> BLOCK_BITS, blocks_of(at)
        if runs and first <= border:
            runs[-1] = runs[-1][0], end - runs[-1][0]
        else:
            runs.append((first, end - first))
        border = end
    return runs


def check_stored(node: Node) -> None:
    """Refuse a file whose content cannot be where it is said to be.

    Raises:
        InvalidLayerError: What is stored overlaps, ends behind the file, or begins nowhere.
        ValueError: Something is stored, and nothing says where.
    """
    stored = node.segments is None or bool(stored_runs(node))
    if stored and node.source is None:
        raise ValueError(f"a file of {node.size} bytes has no source")
    if node.offset < 0:
        raise InvalidLayerError(f"{node.size} bytes at {node.offset} of {node.source}")


def iter_stored(node: Node, read: ReadContent) -> Iterator[tuple[int, bytes]]:
    """What is stored of a file: offset in the file, and the bytes there.

    Raises:
        InvalidLayerError: The source has fewer bytes.
    """
    source, offset = node.source, node.offset
    for start, length in ((0, node.size),) if node.segments is None else node.segments:
        for done in range(0, length, PIECE):
            wanted = min(length - done, PIECE)
            assert source is not None
            piece = read(source, offset + done, wanted)
            if len(piece) != wanted:
                raise InvalidLayerError(
                    f"{wanted} bytes at {offset + done} of {source} came as {len(piece)}"
                )
            yield start + done, piece
        offset += length
