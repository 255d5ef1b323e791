"""Filesystems of their own for tests, mounted while a block lasts."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager


@contextmanager
def mounted(folder, kind, *options):
    """A filesystem of a kind, in a new directory."""
    path = folder / kind
    path.mkdir()
    subprocess.run(["mount", "-t", kind, *options, path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@contextmanager
def xfs(folder):
    """An XFS of 400 MiB, whose files can share blocks."""
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
    with mounted(folder, "xfs", "-o", "loop", image) as path:
        yield path
