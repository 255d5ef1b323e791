"""Files of the same content in directories of a store, made to share their blocks.

What lies in tars and indexes is kept once anyway. Directories are not: those that layers are
written to, whole copies, and layers unpacked for overlay. The kernel compares the bytes before it
shares them, and locks both files: others may go on writing. What somebody removes, replaces or
keeps to himself meanwhile is left out, and so is what is mounted in a directory.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from orlop._sys.reflink import CannotShareError, share_range
from orlop.errors import ConflictError, UnsafePathError, UnsupportedError
from orlop.rootfs import open_upper, read_tree
from orlop.storage.reading import close_shared, open_shared
from orlop.tree import walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orlop.storage.core import StorageCore

_DIRECTORIES: Final = (
    "layers/*/diff", "layers/*/tree", "forms/*/*/diff", "forms/*/*/base", "chains/*/*/rootfs",
)  # fmt: skip
_PASSED_OVER: Final = frozenset(
    {
        errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ESTALE,  # replaced or mounted
        errno.EACCES, errno.EPERM, errno.EAGAIN, errno.ETXTBSY,  # somebody else's
        errno.ENAMETOOLONG,
    }
)  # fmt: skip
_BLOCK: Final = 1 << 16
"""What ranges begin at multiples of: no filesystem that shares blocks has larger ones."""
_PIECE: Final = 1 << 20

_File = tuple["Path", bytes]
"""A directory of the store, and a path in it."""


def dedup(storage: StorageCore) -> int:
    """Make files of the same content share their blocks; see `Storage.dedup`."""
    storage.require_writable()
    shared = 0
    for _, files in sorted(_by_size(storage).items()):
        originals: dict[bytes, _File] = {}
        for file in files if len(files) > 1 else ():
            try:
                shared += _share(file, originals)
            except CannotShareError:
                raise UnsupportedError(
                    f"the filesystem of {storage.places.root} cannot let files share blocks",
                    hint="XFS and btrfs can",
                ) from None
    return shared


def _by_size(storage: StorageCore) -> dict[int, list[_File]]:
    """The files of all directories that are not empty, one name of each, by their length."""
    found: defaultdict[int, list[_File]] = defaultdict(list)
    for pattern in _DIRECTORIES:
        for directory in sorted(storage.places.root.glob(pattern)):
            with _LeftOut(), _opened(directory) as fd:
                seen = set()
                for path, node in walk(read_tree(fd, one_device=True)):
                    if node.size and id(node) not in seen:
                        seen.add(id(node))
                        found[node.size].append((directory, path))
    return found


def _share(file: _File, originals: dict[bytes, _File]) -> int:
    """Share a file's blocks with the first one of its content; how many bytes that are."""
    with _LeftOut(), _opened(file[0]) as place, _opened_file(place, file[1]) as target:
        extents = list(_extents(target))
        digest = _digest_of(target, extents)
        original = originals.setdefault(digest, file)
        if original is file or not extents:
            return 0
        with (
            _LeftOut(),
            _opened(original[0]) as other,
            _opened_file(other, original[1]) as source,
        ):
            if os.path.samestat(os.fstat(source), os.fstat(target)):
                return 0
            return sum(
                share_range(source, target, offset=start, size=end - start)
                for start, end in extents
            )
        originals[digest] = file  # That one is no more; this one is as good.
    return 0


class _LeftOut:
    """A block that ends early, and without an error, where something is not to be had just now."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, traceback: object) -> bool:
        if isinstance(error, OSError):
            return error.errno in _PASSED_OVER
        return isinstance(error, (ConflictError, UnsafePathError))


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    fd = open_shared(directory)
    try:
        yield fd
    finally:
        close_shared(fd)


@contextmanager
def _opened_file(directory: int, path: bytes) -> Iterator[int]:
    fd = open_upper(directory, path, one_mount=True)
    try:
        yield fd
    finally:
        os.close(fd)


def _extents(fd: int) -> Iterator[tuple[int, int]]:
    """Start and end of what of a file is no hole, in whole blocks; its last one may be short."""
    size = os.fstat(fd).st_size
    start = last = 0
    while start < size:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        first = max(start - start % _BLOCK, last)
        last = min(end + -end % _BLOCK, size)
        if first < last:
            yield first, last
        start = last


def _digest_of(fd: int, extents: list[tuple[int, int]]) -> bytes:
    """What only files of equal content have in common; it says nothing of holes."""
    content = hashlib.sha256()
    for start, end in extents:
        content.update(b"%d-%d:" % (start, end))
        for at in range(start, end, _PIECE):
            content.update(os.pread(fd, min(_PIECE, end - at), at))
    return content.digest()
