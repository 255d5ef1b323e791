"""Filling an ingest from where its content can be had from the beginning."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from orlop.content.protocol import ReaderAt
from orlop.content.verify import CHUNK_SIZE

if TYPE_CHECKING:
    from orlop.content.protocol import Ingest
    from orlop.content.verify import Source


def fill(ingest: Ingest, source: Source | ReaderAt) -> int:
    """Give an ingest all that it has not got yet, and return how many bytes that was.

    It is left to `commit` to find out whether it is now whole, and what it should be.

    Args:
        ingest: What earlier writers left in it is not read again where that can be helped.
        source: The content from its beginning: a stream, which is sought forward where it can be
            and else read, or a `ReaderAt`. It is not closed.

    Raises:
        SizeMismatchError: More came than was expected; nothing is kept.
        OSError: Reading or storing failed; what has arrived is kept for a later writer.
    """
    before = ingest.offset
    if isinstance(source, ReaderAt):
        _fill_at(ingest, source)
    elif _skip(source, before):
        while piece := source.read(CHUNK_SIZE):
            ingest.write(piece)
    return ingest.offset - before


def _fill_at(ingest: Ingest, source: ReaderAt) -> None:
    while piece := source.read_at(ingest.offset, CHUNK_SIZE):
        ingest.write(piece)


def _skip(source: Source, size: int) -> bool:
    """Whether the stream had so many bytes, which have been passed over."""
    if isinstance(source, io.IOBase) and source.seekable():
        source.seek(size)
        return True
    while size:
        piece = source.read(min(size, CHUNK_SIZE))
        if not piece:
            return False
        size -= len(piece)
    return True
