"""Images unpacked into directories, changed and repacked.

with Bundle.of(store, layout.source, place / "bundle") as bundle: ...
"""

from __future__ import annotations

import os

import orlop
from orlop.unpack import RepackOptions


class Bundle:
    """A directory that an image was unpacked into.

    Args:
        store: Where the image is.
        source: What is pulled.
        path: The directory, which is not there yet.
    """

    def __init__(self, store, source, path):
        self.store = store
        self.path = path
        self.image = store.pull(source, tag="base")
        self.unpacked = self.image.unpack(path)

    @property
    def rootfs(self):
        return self.path / "rootfs"

    def repack(self, *names, **options):
        """Make an image called `changed`, or as is said."""
        return self.store.repack(
            self.path, *(names or ("changed",)), options=RepackOptions(**options)
        )

    def layer(self, repacked):
        """The entries of a new layer, as (kind, path), in their order but for removals first."""
        return entries_of(self.store, repacked.layer)


def entries_of(store, diff_id):
    """The entries of a layer, each as its kind and path, removals first."""
    changeset = store.storage.forms.changeset(diff_id)
    return [(type(entry).__name__, entry.path.decode()) for entry in changeset.entries()]


def open_store(place):
    """A store below a directory."""
    return orlop.open_store(place / "root", place / "run")


def listing(path):
    """All that `path` is and has in it, to the inode number and the time of the last change."""
    found = {".": _exactly(path)}
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            each = os.path.join(folder, name)
            found[os.path.relpath(each, path)] = _exactly(each)
    return found


def _exactly(path):
    status = os.lstat(path)
    return (
        status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
        status.st_uid, status.st_gid, status.st_nlink,
    )  # fmt: skip
