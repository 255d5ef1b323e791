"""Directories in which forms and chains are built before they get their names."""

from __future__ import annotations

import itertools
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orlop.storage.places import Places

_numbers: Final = itertools.count(1)


@contextmanager
def staging_directory(places: Places, lease_id: str) -> Iterator[Path]:
    """A new empty directory that belongs to a lease, and is gone when the block ends.

    What is to be kept is renamed out of it. When the process is killed, the collector removes it
    once the lease has ended.
    """
    path = places.staging / f"{lease_id}-{os.getpid()}-{next(_numbers)}"
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        discard(path)


def lease_of(name: str) -> str:
    """The lease that a staging directory belongs to, by its name."""
    return name.rsplit("-", 2)[0]


def publish(source: Path, target: Path) -> None:
    """Move a file or directory to its name, in place of what may be there.

    What was there is moved into the source's directory first, where it goes with it: a directory
    cannot be replaced in one step.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if target.is_dir():
        os.rename(target, source.with_name(source.name + ".replaced"))
    os.rename(source, target)


def discard(path: Path) -> None:
    """Remove a file or a directory with all that is in it; what is not there is no error."""
    if path.is_dir() and not path.is_symlink():
        remove_path(path)
    else:
        path.unlink(missing_ok=True)


def remove_path(path: Path) -> None:
    """Remove a directory and all below it, by handles."""
    from orlop.rootfs import remove_tree

    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(parent, os.fsencode(path.name))
    finally:
        os.close(parent)


def free_space(path: Path) -> int:
    """Bytes that may still be written to the filesystem of `path`."""
    return shutil.disk_usage(path).free
