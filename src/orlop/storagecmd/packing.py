"""A directory as a tar."""

from __future__ import annotations

import os
import tarfile
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SKIPPED: Final = ("trusted.overlay.", "user.overlay.", "security.selinux")
"""Attributes that say what a filesystem did with a file."""


@contextmanager
def packed(directory: str) -> Iterator[BinaryIO]:
    """Give all that is in a directory as a tar, with owners, extended attributes and links.

    Raises:
        OSError: Something cannot be read, or there is no room for the tar.
    """
    with TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(os.listdir(directory)):
                tar.add(
                    os.path.join(directory, name),
                    name,
                    filter=lambda info: _with_xattrs(info, directory),
                )
        file.seek(0)
        yield file


def _with_xattrs(info: tarfile.TarInfo, directory: str) -> tarfile.TarInfo:
    path = os.path.join(directory, info.name)
    info.pax_headers = {
        f"SCHILY.xattr.{name}": os.fsdecode(os.getxattr(path, name, follow_symlinks=False))
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith(_SKIPPED)
    }
    return info
