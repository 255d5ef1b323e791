"""A driver's methods and capabilities, called as they may be: with paths that were checked."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

from orlop.errors import LimitExceededError
from orlop.layout.driver.path import check_path
from orlop.layout.driver.protocol import Lockable, Shareable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from orlop.layout.driver.protocol import ImageDriver, Reader


def open_file(driver: ImageDriver, path: str) -> Reader:
    """Open any file of a layout; what is read is not verified.

    Raises:
        UnsafePathError: The path does not stay in the layout.
        NotFoundError: There is no such file.
        UnsupportedError: The driver only writes.
    """
    return driver.reader(check_path(path))


def read_file(driver: ImageDriver, path: str, *, limit: str, most: int) -> bytes:
    """The whole of a file, of which no more than the limit is read.

    Args:
        driver: The layout.
        path: Of the file.
        limit: The name of the limit to its size.
        most: The limit's value, in bytes.

    Raises:
        LimitExceededError: It is larger.
        UnsafePathError: The path does not stay in the layout.
        NotFoundError: There is no such file.
    """
    with open_file(driver, path) as reader:
        data = read_up_to(reader, most + 1)
    if len(data) > most:
        raise LimitExceededError(f"{driver}: {path} is too large", limit=limit, value=most)
    return data


def write_file(driver: ImageDriver, path: str, data: bytes, mode: int) -> None:
    """Write a whole file, durably and in one step, instead of one that is there.

    Raises:
        UnsafePathError: The path does not stay in the layout.
        UnsupportedError: The driver only reads, or cannot replace what is there.
        OSError: It could not be stored; what was there is there still.
    """
    with driver.writer(check_path(path), mode) as writer:
        writer.write(data)
        writer.commit()


def remove_file(driver: ImageDriver, path: str) -> None:
    """Remove any file of a layout.

    Raises:
        UnsafePathError: The path does not stay in the layout.
        NotFoundError: There is no such file.
        UnsupportedError: The driver only reads, or only appends.
    """
    driver.remove(check_path(path))


def size_of(reader: Reader) -> int:
    """The length of an open file in bytes; it is at its beginning afterwards."""
    size = reader.seek(0, os.SEEK_END)
    reader.seek(0)
    return size


def read_up_to(reader: Reader, size: int) -> bytes:
    """The next `size` bytes; fewer only at the end of the file."""
    pieces = []
    while size and (piece := reader.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def locked(driver: ImageDriver) -> AbstractContextManager[object]:
    """Keep others from changing `index.json`, where the driver can; see `Lockable`."""
    return driver.lock() if isinstance(driver, Lockable) else nullcontext()


def sharing(driver: ImageDriver) -> AbstractContextManager[object]:
    """Keep a collector from blobs that nothing names yet, where the driver can; see `Shareable`.

    with sharing(driver):
        layer = write_blob(driver, data)
        …
        put_manifest_descriptor_to_index(driver, manifest)
    """
    return driver.sharing() if isinstance(driver, Shareable) else nullcontext()


def collecting(driver: ImageDriver, timeout: float | None = None) -> AbstractContextManager[object]:
    """Wait for all that are `sharing`, and keep new ones out, where the driver can.

    Args:
        driver: The layout.
        timeout: Seconds to wait for them; as long as it takes where None.

    Raises:
        InUseError: There is still a writer, or another collector.
    """
    return driver.collecting(timeout) if isinstance(driver, Shareable) else nullcontext()
