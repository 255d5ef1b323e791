"""A file that can be read at any offset, made of one that cannot.

An archive that is a plain file and no gzip or zstd stream is read where it lies. Any other is
written once, decompressed, to a file without a name, which is gone with its last descriptor.
"""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop.compression import Compression, DecompressionLimits, Decompressor, detect
from orlop.errors import (
    InvalidArchiveError,
    InvalidLayerError,
    LimitExceededError,
    NotFoundError,
    UnsupportedError,
)
from orlop.layout.place import STREAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

DEFAULT_SPOOL: Final = Path("/var/tmp")  # noqa: S108 - files without a name, of no fixed path
"""The directory for spools where the caller names none: large, and on disk."""

MAX_SPOOL_SIZE: Final = 256 << 30
"""Most bytes that an archive may have that is spooled."""

_CHUNK_SIZE: Final = 1 << 20
_HEAD_SIZE: Final = 512


def open_seekable(path: Path, spool: Path | None = None, *, limit: int = MAX_SPOOL_SIZE) -> int:
    """Open an archive for reading at any offset, and return the descriptor, which the caller owns.

    Args:
        path: A regular file, a FIFO or a device.
        spool: The directory for a file as large as the archive is without compression; it is
            used only when the archive is compressed or cannot be read at any offset.
        limit: Most bytes to write there.

    Raises:
        NotFoundError: There is no such file.
        InvalidArchiveError: It is a directory, or its compression is broken.
        LimitExceededError: It becomes larger than `limit`.
        UnsupportedError: It is compressed by an unknown method.
        OSError: It cannot be read (EACCES), or the spool not be written (ENOSPC).
    """
    fd = _open(path)
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode) and _detect(fd, path) is Compression.NONE:
            fd, plain = -1, fd
            return plain
        return _spool(lambda size: os.read(fd, size), path, spool or DEFAULT_SPOOL, limit)
    finally:
        if fd >= 0:
            os.close(fd)


def spool_stream(
    stream: BinaryIO, spool: Path | None = None, *, limit: int = MAX_SPOOL_SIZE
) -> int:
    """Read a stream to its end, decompressed, and return a descriptor of what came, to be owned.

    Args:
        stream: The archive, from where it is; not closed.
        spool: The directory for a file as large as the archive is without compression.
        limit: Most bytes to write there.

    Raises:
        InvalidArchiveError: It is empty, or its compression is broken.
        LimitExceededError: It becomes larger than `limit`.
        UnsupportedError: It is compressed by an unknown method.
        OSError: It cannot be read, or the spool not be written (ENOSPC).
    """
    return _spool(stream.read, Path(STREAM), spool or DEFAULT_SPOOL, limit)


def _open(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFoundError(f"no such file: {path}") from None
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidArchiveError(
            f"{path} is a directory",
            hint=f"write oci:{path} or dir:{path} for one that holds images",
        )
    return fd


def _detect(fd: int, path: Path) -> Compression:
    try:
        return detect(os.pread(fd, _HEAD_SIZE, 0))
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error}", hint="decompress it first") from error


def _spool(read: Callable[[int], bytes], path: Path, directory: Path, limit: int) -> int:
    """Write all that can be read to a file without a name, and return its descriptor."""
    with tempfile.TemporaryFile(dir=directory, buffering=0) as output:
        try:
            for piece in _pieces(read, limit):
                _write_all(output.fileno(), piece)
        except InvalidLayerError as error:
            raise InvalidArchiveError(str(error), where=str(path)) from error
        except LimitExceededError as error:
            raise LimitExceededError(
                f"{path}: {error}", limit=error.limit, value=error.value
            ) from error
        if not os.fstat(output.fileno()).st_size:
            raise InvalidArchiveError(
                f"{path} is empty", hint="see whether what was to write it has failed"
            )
        return os.dup(output.fileno())


def _pieces(read: Callable[[int], bytes], limit: int) -> Iterator[bytes]:
    decompressor = Decompressor(limits=replace(DecompressionLimits(), max_size=limit))
    while chunk := read(_CHUNK_SIZE):
        yield from decompressor.feed(chunk)
    yield from decompressor.close()


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
