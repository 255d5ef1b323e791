"""ext4 images in files, and what e2fsprogs say about them."""

from __future__ import annotations

import subprocess

from orlop.fsimage.ext4 import Ext4Options, write_ext4

UUID = bytes(range(16))
TIME = 1_700_000_000_000_000_001


class FileOutput:
    """An output over an open file, in which zeros are holes."""

    def __init__(self, file):
        self._file = file
        self.write = file.write

    def skip(self, size):
        end = self._file.seek(size, 1)
        self._file.truncate(end)


def write_file(path, root, read=None, **options):
    """Write the image of a tree to a file; what was written."""
    options = Ext4Options(**{"uuid": UUID, "time_ns": TIME, **options})
    with open(path, "wb") as file:
        written = write_ext4(root, FileOutput(file), read=read, options=options)
    assert path.stat().st_size == written.size
    return written


def run(*command):
    """Run a program, which must succeed; what it prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {(done.stdout + done.stderr).decode()[:4000]}"
    return done.stdout.decode(errors="backslashreplace")


def check(path):
    """Fail if e2fsck would change anything."""
    run("e2fsck", "-fn", path)


def facts(path):
    """What dumpe2fs says of the whole filesystem, by name."""
    lines = run("dumpe2fs", "-h", path).splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
