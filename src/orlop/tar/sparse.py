"""Maps of sparse files: where in the file lie the pieces that are stored.

    GNU        typeflag S: four pairs in the header, 21 in each further block
    PAX 0.0    GNU.sparse.offset and GNU.sparse.numbytes, repeated; GNU.sparse.size
    PAX 0.1    GNU.sparse.map = "offset,length,…"; GNU.sparse.size, GNU.sparse.name
    PAX 1.0    GNU.sparse.major = 1; the map stands before the data, in whole blocks:
               number of pairs, then offsets and lengths, each in decimal on its own line

Spec: GNU tar manual, "Storing Sparse Files".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.tar.header import (
    BLOCK_SIZE,
    MalformedError,
    TooLargeError,
    UnknownError,
    decode_size,
)
from orlop.tar.names import shown
from orlop.tar.pax import SPARSE_MAP, decode_decimal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PAIR_SIZE: Final = 24
_HEADER_PAIRS: Final = slice(386, 482)
_BLOCK_PAIRS: Final = slice(0, 504)
_MAX_LINE: Final = 20

Segments = tuple[tuple[int, int], ...]


def check_segments(numbers: Sequence[int], size: int, stored: int) -> Segments | None:
    """The segments of a map, joined where they touch; None when they are the whole file.

    Args:
        numbers: Starts and lengths in turn.
        size: Length of the file with its holes.
        stored: Bytes of data that the archive has.

    Raises:
        MalformedError: Segments overlap, go backwards, leave the file, or hold another number of
            bytes than the archive has.
    """
    segments: list[tuple[int, int]] = []
    end = total = 0
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        if start < end or start + length > size:
            raise MalformedError("the sparse map overlaps, goes backwards or leaves the file")
        if length and segments and start == end:
            first, before = segments[-1]
            segments[-1] = (first, before + length)
        elif length:
            segments.append((start, length))
        end = start + length
        total += length
    if total != stored:
        raise MalformedError(f"the sparse map has {total} bytes and the archive {stored}")
    return None if segments == [(0, size)] else tuple(segments)


class GnuMap:
    """The map of a GNU sparse member, fed with its header and then its further blocks.

    Attributes:
        size: Length of the file with its holes.
        numbers: Starts and lengths in turn.
        stored: Bytes of data that the archive has.
        complete: Whether no further block follows.
    """

    __slots__ = ("complete", "numbers", "size", "stored")

    def __init__(self, header: bytes, stored: int) -> None:
        self.size = decode_size(header[483:495], "real size")
        self.stored = stored
        self.numbers: list[int] = []
        self.complete = False
        self._add(header[_HEADER_PAIRS], header[482])

    def add(self, block: bytes) -> None:
        """Take a block of further pairs."""
        self._add(block[_BLOCK_PAIRS], block[504])

    def _add(self, pairs: bytes, extended: int) -> None:
        for at in range(0, len(pairs), _PAIR_SIZE):
            if not pairs[at + 12]:
                if pairs[at:].strip(b"\0") or extended:
                    raise MalformedError("the sparse map goes on after its end")
                break
            self.numbers.append(decode_size(pairs[at : at + 12], "sparse offset"))
            self.numbers.append(decode_size(pairs[at + 12 : at + 24], "sparse length"))
        self.complete = not extended


class PaxMap:
    """The map of a PAX sparse member.

    Attributes:
        size: Length of the file with its holes.
        numbers: Starts and lengths in turn; empty in format 1.0 until its blocks were added.
        stored: Bytes of data that the archive has, behind the map.
        complete: Whether no block of the map follows.
    """

    __slots__ = ("_limit", "_lines", "_text", "complete", "numbers", "size", "stored")

    def __init__(self, records: Mapping[bytes, bytes], stored: int, limit: int) -> None:
        version = (
            records.get(b"GNU.sparse.major", b"0"),
            records.get(b"GNU.sparse.minor", b"0" if b"GNU.sparse.major" in records else b"1"),
        )
        if version not in ((b"0", b"0"), (b"0", b"1"), (b"1", b"0")):
            raise UnknownError(f"sparse format {shown(b'.'.join(version))} is not known")
        self._limit = limit
        self.stored = stored
        self._text = bytearray()
        self._lines = 0
        self.numbers: list[int] = []
        self.complete = version[0] == b"0"
        if self.complete:
            self._read_records(records)
        elif SPARSE_MAP in records:
            raise MalformedError("the sparse map is given twice")
        keyword = b"GNU.sparse.size" if self.complete else b"GNU.sparse.realsize"
        self.size = decode_decimal(records.get(keyword, b""), "real size")

    def _read_records(self, records: Mapping[bytes, bytes]) -> None:
        text = records.get(SPARSE_MAP)
        if text is None:
            raise MalformedError("a sparse file has no map")
        values = text.split(b",") if text else []
        if len(values) % 2:
            raise MalformedError("the sparse map has an odd number of values")
        count = records.get(b"GNU.sparse.numblocks")
        if count is not None and decode_decimal(count, "numblocks") != len(values) // 2:
            raise MalformedError("the sparse map has another length than numblocks")
        self._check_count(len(values) // 2)
        self.numbers = [decode_decimal(value, "sparse map") for value in values]

    def add(self, block: bytes) -> None:
        """Take a block of the map of format 1.0."""
        self.stored -= BLOCK_SIZE
        if self.stored < 0:
            raise MalformedError("the sparse map is longer than the member")
        self._text += block
        self._lines += block.count(b"\n")
        count, newline, _ = bytes(self._text[: _MAX_LINE + 1]).partition(b"\n")
        if not newline:
            raise MalformedError("the sparse map does not begin with its length")
        pairs = decode_decimal(count, "sparse map")
        self._check_count(pairs)
        if len(self._text) > (_MAX_LINE + 1) * (2 * pairs + 1) + BLOCK_SIZE:
            raise MalformedError("the sparse map is longer than its length says")
        if self._lines < 2 * pairs + 1:
            return
        lines = bytes(self._text).split(b"\n", 2 * pairs + 1)
        self.numbers = [decode_decimal(line, "sparse map") for line in lines[1:-1]]
        self.complete = True

    def _check_count(self, pairs: int) -> None:
        if pairs > self._limit:
            raise TooLargeError("sparse files have too many pieces", "max_segments")
