"""The contents of files as blocks of a full image: whole, by extents, with holes, each once."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError, OrlopError
from orlop.fsimage.content import iter_content
from orlop.fsimage.erofs.chunks import ChunkMap, map_chunks
from orlop.fsimage.erofs.compressed import Extents, iter_compressed
from orlop.fsimage.erofs.format import MAX_BLOCKS
from orlop.fsimage.names import named
from orlop.tree.node import S_IFMT, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orlop.fsimage.erofs.compressed import Codec
    from orlop.fsimage.output import Output, ReadContent
    from orlop.tree.node import Node

_PIECE: Final = 1 << 18
FILLED_HOLES: Final = 1 << 16
"""Bytes of holes in a file that are written as zeros, rather than told by a chunk table."""


def is_filled(node: Node) -> bool:
    """Whether a regular file is stored as if it had no holes: it has none, or hardly any."""
    if node.segments is None:
        return True
    return node.size - sum(length for _, length in node.segments) <= FILLED_HOLES


class Contents:
    """Writes contents, one after another, and knows where each is.

    Attributes:
        starts: First block of files that are stored as they are.
        extents: The index of files that are compressed.
        maps: The chunks of files with holes; those that are not holes lie from their start on.
        next: The block after the last one.
        shared: Bytes that were not written, since a file of equal content was before.

    Args:
        output: Takes the blocks.
        read: Gives the contents.
        root: The tree that errors tell paths of.
        block_bits: log2 of the block size.
        first: The first block.
        beside: Says how many bytes at the end of a file lie beside its inode.
        codec: What compresses, if anything is to.
        share: Whether files of equal content share blocks.
        progress: Called with bytes of content that are done.
    """

    def __init__(
        self,
        output: Output,
        read: ReadContent,
        *,
        root: Node,
        block_bits: int,
        first: int,
        beside: Callable[[Node], int],
        codec: Codec | None,
        share: bool,
        progress: Callable[[int], object] | None,
    ) -> None:
        self._output = output
        self._read = read
        self._root = root
        self._bits = block_bits
        self._beside = beside
        self._codec = codec
        self._share = share
        self._progress = progress
        self._buffer = bytearray()
        self._sizes: Counter[int] = Counter()
        self._known: dict[tuple[bytes, int], Node] = {}
        self._same: dict[Node, Node] = {}
        self.starts: dict[Node, int] = {}
        self.extents: dict[Node, Extents] = {}
        self.maps: dict[Node, ChunkMap] = {}
        self.next = first
        self.shared = 0

    def write(self, nodes: Iterable[Node]) -> None:
        """Write the contents of all regular files among these, each once.

        Raises:
            InvalidLayerError: A source has not the bytes that a file is to have.
            LimitExceededError: There is more than can be addressed, or a file has too many holes.
            OSError: The output failed, or a source.
        """
        files = [node for node in nodes if node.mode & S_IFMT == S_IFREG and node.size]
        self._require_room(files)
        if self._share:
            self._sizes.update(node.size for node in files)
        if self._codec is None:
            for node in files:
                self._write_one(node)
        else:
            self._write_compressed(self._codec, files)
        self._flush()
        for node, first in self._same.items():
            self._refer(node, first)

    def _require_room(self, files: Iterable[Node]) -> None:
        """Refuse what certainly cannot be addressed: contents of different sizes are not shared."""
        if self._codec is not None:
            return
        sizes = (node.size >> self._bits for node in files if is_filled(node))
        self._require_blocks(sum(set(sizes) if self._share else sizes))

    def _require_blocks(self, count: int) -> None:
        if self.next + count >= MAX_BLOCKS:
            raise LimitExceededError(
                "the contents take too many blocks", limit="MAX_BLOCKS", value=MAX_BLOCKS
            )

    def _write_one(self, node: Node) -> None:
        """Write a file as it is."""
        if not is_filled(node):
            self._write_chunks(node)
            return
        end = node.size - self._beside(node)
        if end and (self._sizes[node.size] < 2 or not self._is_known(node, end)):
            self.starts[node] = self.next
            self._write_blocks(self.pieces(node, 0, end), end)
        elif not end:
            self.starts[node] = 0
        if self._progress is not None:
            self._progress(node.size)

    def pieces(self, node: Node, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a file from `start` to `end`."""
        try:
            yield from iter_content(node, start, end, self._read)
        except OrlopError as error:
            raise named(error, self._root, node)

    def part(self, node: Node, start: int, end: int) -> bytes:
        """The bytes of a file from `start` to `end`, all at once."""
        if node.segments is None and node.source is not None:
            found = self._read(node.source, node.offset + start, end - start)
            if len(found) == end - start:
                return found
        return b"".join(self.pieces(node, start, end))

    def _is_known(self, node: Node, end: int) -> bool:
        """Whether a file of the same content has been written, whose blocks this one has then."""
        content = hashlib.sha256()
        for piece in self.pieces(node, 0, node.size):
            content.update(piece)
        first = self._known.setdefault((content.digest(), end), node)
        if first is node:
            return False
        self._same[node] = first
        self.shared += end
        return True

    def _refer(self, node: Node, first: Node) -> None:
        if first in self.extents:
            self.extents[node] = self.extents[first]
        else:
            self.starts[node] = self.starts[first]

    def _write_chunks(self, node: Node) -> None:
        chunks = map_chunks(node.segments or (), node.size, node.offset, self._bits, copy=True)
        self.maps[node] = chunks
        self.starts[node] = self.next
        for start, end in chunks.copied_ranges(node.size):
            self._write_blocks(self.pieces(node, start, end), end - start)
        if self._progress is not None:
            self._progress(node.size)

    def _write_blocks(self, pieces: Iterable[bytes], size: int) -> None:
        """Write `size` bytes from the next block on, and zeros to the end of the last one."""
        blocks = -(-size >> self._bits)
        self._require_blocks(blocks)
        for piece in pieces:
            if len(piece) < _PIECE >> 4:
                self._buffer += piece
                if len(self._buffer) > _PIECE:
                    self._flush()
            else:
                self._flush()
                self._output.write(piece)
        self._buffer += bytes(-size % (1 << self._bits))
        self.next += blocks

    def _flush(self) -> None:
        if self._buffer:
            self._output.write(self._buffer)
            self._buffer = bytearray()

    def _write_compressed(self, codec: Codec, files: Sequence[Node]) -> None:
        with closing(iter_compressed(codec, self._cut(codec, files))) as pieces:
            for node, data, packed in pieces:
                if data:
                    self._write_extent(node, data, packed)
                else:
                    self._write_one(node)
        for node in [node for node, extents in self.extents.items() if not extents.saved]:
            del self.extents[node]  # its blocks are those of a file that is stored as it is

    def _write_extent(self, node: Node, data: bytes, packed: bytes) -> None:
        extents = self.extents.get(node)
        if extents is None:
            extents = self.extents[node] = Extents()
            self.starts[node] = self.next
        count, blocks = (-(-len(each) >> self._bits) for each in (data, packed))
        start = self.next
        if blocks < count:
            room = bytes(-len(packed) % (1 << self._bits))
            self._write_blocks((room, packed), len(room) + len(packed))
            extents.add_compressed(start, count, blocks)
        else:
            end = len(data)
            if not extents.saved and extents.count + count << self._bits >= node.size:
                end -= self._beside(node)  # compressing was in vain
            self._write_blocks((data[:end],), end)
            extents.add_stored(start, count)
        if self._progress is not None:
            self._progress(len(data))

    def _cut(self, codec: Codec, files: Iterable[Node]) -> Iterator[tuple[Node, bytes]]:
        """The files as pieces to compress; those that are not worth it without any.

        Nothing is written here: pieces of the files before wait to be written, and those of one
        file that turns out to be stored as it is must lie together.
        """
        for node in files:
            if node.size <= 1 << self._bits or not is_filled(node):
                yield node, b""
            elif self._sizes[node.size] > 1 and self._is_known(
                node, node.size - self._beside(node)
            ):
                if self._progress is not None:
                    self._progress(node.size)
            else:
                for start in range(0, node.size, codec.extent):
                    end = min(start + codec.extent, node.size)
                    yield node, self.part(node, start, end)
