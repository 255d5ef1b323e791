"""Files of the same content in directories of a store, made to share their blocks.

What lies in tars and indexes is kept once anyway. Directories are not: those that layers are
written to, whole copies, and layers unpacked for overlay. The kernel compares the bytes before it
shares them, and locks both files: others may go on writing.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from orlop._sys.reflink import CannotShareError, share_file
from orlop.errors import ConflictError, UnsafePathError
from orlop.rootfs import open_upper, read_tree
from orlop.storage.layers.reading import close_shared, open_shared
from orlop.tree import walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orlop.storage.storage import Storage

_DIRECTORIES: Final = (
    "layers/*/diff", "layers/*/tree", "forms/*/*/diff", "forms/*/*/base", "chains/*/*/rootfs",
)  # fmt: skip
_File = tuple["Path", bytes]
"""A directory of the store, and a path in it."""


def dedup(storage: Storage) -> int:
    """Make files of the same content share their blocks; see `Storage.dedup`."""
    shared = 0
    for _, files in sorted(_by_size(storage).items()):
        originals: dict[bytes, _File] = {}
        for file in files if len(files) > 1 else ():
            try:
                shared += _share(file, originals)
            except CannotShareError:
                return shared
            except (FileNotFoundError, ConflictError, UnsafePathError):
                continue  # Somebody removes or replaces it just now.
    return shared


def _by_size(storage: Storage) -> dict[int, list[_File]]:
    """The files of all directories that are not empty, one name of each, by their length."""
    found: defaultdict[int, list[_File]] = defaultdict(list)
    for pattern in _DIRECTORIES:
        for directory in sorted(storage.places.root.glob(pattern)):
            try:
                fd = open_shared(directory)
            except (ConflictError, NotADirectoryError):
                continue
            try:
                seen = set()
                for path, node in walk(read_tree(fd)):
                    if node.size and id(node) not in seen:
                        seen.add(id(node))
                        found[node.size].append((directory, path))
            except FileNotFoundError:
                continue
            finally:
                close_shared(fd)
    return found


def _share(file: _File, originals: dict[bytes, _File]) -> int:
    """Share a file's blocks with the first one of its content; how many bytes that are."""
    with _opened(file) as target:
        with open(target, "rb", closefd=False) as stream:
            digest = hashlib.file_digest(stream, "sha256").digest()
        original = originals.setdefault(digest, file)
        if original is file:
            return 0
        with _opened(original) as source:
            return share_file(source, target)


@contextmanager
def _opened(file: _File) -> Iterator[int]:
    directory = open_shared(file[0])
    try:
        fd = open_upper(directory, file[1])
        try:
            yield fd
        finally:
            os.close(fd)
    finally:
        close_shared(directory)
