"""Tars of what differs, as the peer gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.storage.layers.record import Layer
    from orlop.storage.storage import Storage

_BLOCK: Final = 512
_CHUNK: Final = 1 << 20
_SIZE: Final = slice(124, 136)
_TYPE: Final = slice(156, 157)
_ROOTS: Final = (b".", b"./")
MAX_EXTENDED_SIZE: Final = 1 << 20
"""Bytes of what an extended header says of the root."""


def is_original(storage: Storage, layer: Layer, base: str | None) -> bool:
    """Whether what a layer adds is the tar that it was made of, byte for byte."""
    from orlop.storage.layers.ancestry import ancestry

    if layer.diff_id is None or base not in {None, layer.parent}:
        return False
    return not ancestry(storage, layer.id)[0].written


def without_root(source: BinaryIO) -> bytes:
    """Read past the entry of the root, if it is the first of a tar; else what was read of it."""
    start = _block(source)
    if start[_TYPE] in {b"x", b"g"}:
        size = int(start[_SIZE].rstrip(b"\0 ") or b"0", 8)
        if size > MAX_EXTENDED_SIZE:
            return start
        start += source.read(-(-size // _BLOCK) * _BLOCK)
        header = _block(source)
        start += header
    else:
        header = start
    is_root = header[_TYPE] == b"5" and header[:100].rstrip(b"\0") in _ROOTS
    return b"" if is_root else start


def iter_compressed(
    start: bytes, source: BinaryIO, compression: Literal["none", "gzip"]
) -> Iterator[bytes]:
    """The bytes of a stream that has begun, compressed or as they are."""
    from orlop.compression import Compressor

    compressor = None if compression == "none" else Compressor(compression)
    piece = start or source.read(_CHUNK)
    while piece:
        yield piece if compressor is None else compressor.feed(piece)
        piece = source.read(_CHUNK)
    if compressor is not None:
        yield compressor.close()


def _block(source: BinaryIO) -> bytes:
    return source.read(_BLOCK)
