"""The programs that make squashfs images of tars: which there are, and what each cannot do.

    program     package of Debian  what it does wrong, without an error
    tar2sqfs    squashfs-tools-ng
    mksquashfs  squashfs-tools     leaves out extended attributes of the root, and spoils those
                                   with `=` in their names, which tar can only say quoted
                before 4.6         gives the root to who runs it, and the time when it runs
                before 4.5         reads no tars

An old `mksquashfs` is told the time in the environment, which it gives to the root, too; it then
sets later times back to that. Whatever else one would do wrong is refused. `tar2sqfs` is asked
first, except for an image without compression, which it does not make.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop.errors import UnsupportedError
from orlop.tree import Node, walk

if TYPE_CHECKING:
    from pathlib import Path

SquashfsCompression: TypeAlias = Literal["gzip", "zstd", "xz", "lz4"]

LAST_SECOND: Final = (1 << 32) - 1
"""The last time that squashfs can say, in seconds since 1970."""

_NANOSECONDS: Final = 1_000_000_000
_NAMESPACES: Final = (b"user.", b"trusted.", b"security.")
_NAMES: Final = ("tar2sqfs", "mksquashfs")
_READS_TARS: Final = (4, 5)
_OBEYS_ROOT: Final = (4, 6)
_INSTALL: Final = "install the Debian package squashfs-tools-ng, or squashfs-tools from 4.6 on"
_USE_OTHER: Final = "use tar2sqfs, of the Debian package squashfs-tools-ng"


@dataclass(frozen=True, slots=True, kw_only=True)
class SquashfsTool:
    """A program that is there.

    Attributes:
        path: Where.
        version: That of a `mksquashfs`; None for `tar2sqfs`.
    """

    path: str
    version: tuple[int, int] | None

    @property
    def _old(self) -> bool:
        return self.version is not None and self.version < _OBEYS_ROOT

    def check(self, root: Node, time_s: int) -> None:
        """Refuse a tree of which it would show another one.

        Raises:
            UnsupportedError: It would.
        """
        if self.version is None:
            return
        for path, node in walk(root):
            for name in _attributes(node):
                if not path or b"=" in name:
                    raise _wrong(path, f"spoil the extended attribute {name!r}")
            if path and self._old and _seconds(node) > time_s:
                raise _wrong(path, f"set the time back to {time_s}")
        if self._old and (root.uid, root.gid) != (os.getuid(), os.getgid()):
            raise _wrong(b"", f"give it to {os.getuid()}:{os.getgid()}")
        if self._old and time_s > time.time():
            raise _wrong(b"", "give it the time when it runs")

    def command(
        self, root: Node, file: Path, compression: SquashfsCompression | None, block_size: int,
        time_s: int,
    ) -> list[str]:  # fmt: skip
        """The words that make it write `file`, as for `write_squashfs`."""
        if self.version is None:
            return [
                self.path, "--quiet", "--no-skip", "--force", f"--compressor={compression}",
                f"--block-size={block_size}", str(file),
            ]  # fmt: skip
        command = [
            self.path, "-", str(file), "-tar", "-noappend", "-exit-on-error", "-quiet",
            "-no-progress", "-b", str(block_size), "-root-mode", f"{root.mode & 0o7777:o}",
        ]  # fmt: skip
        if not self._old:
            command += [
                "-mkfs-time", str(time_s), "-root-time", str(_seconds(root)),
                "-root-uid", str(root.uid), "-root-gid", str(root.gid),
            ]  # fmt: skip
        return command + (
            ["-comp", compression] if compression else ["-noI", "-noD", "-noF", "-noX"]
        )

    def environ(self, time_s: int) -> dict[str, str]:
        """What it finds in its environment; what the user has there would change the image."""
        environ = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        environ["LC_ALL"] = "C"
        if self.version is None or self._old:
            environ["SOURCE_DATE_EPOCH"] = str(time_s)
        return environ


def choose_tool(tool: str | None, compression: SquashfsCompression | None) -> SquashfsTool:
    """The program to use, as for `write_squashfs`.

    Raises:
        UnsupportedError: There is none that can do it.
        ValueError: `tool` names another program.
    """
    names = [tool] if tool else ["mksquashfs"] if compression is None else [*_NAMES]
    for each in names:
        name = os.path.basename(each)
        if name not in _NAMES:
            raise ValueError(f"{tool!r} is neither a tar2sqfs nor a mksquashfs")
        if compression is None and name == "tar2sqfs":
            raise UnsupportedError("tar2sqfs compresses always", hint="use mksquashfs")
        path = shutil.which(each)
        version = _version(path) if path and name == "mksquashfs" else None
        if path and (name == "tar2sqfs" or (version and version >= _READS_TARS)):
            return SquashfsTool(path=path, version=version)
    which = " or ".join(names)
    raise UnsupportedError(f"squashfs needs {which}, reading tars: there is none", hint=_INSTALL)


def as_shown(node: Node) -> Node:
    """The inode as squashfs can show it, without what is in a directory."""
    return Node(
        node.mode, node.uid, node.gid, _seconds(node) * _NANOSECONDS, node.size, node.rdev,
        node.target, _attributes(node), node.source, node.offset, node.segments,
    )  # fmt: skip


def _seconds(node: Node) -> int:
    return min(max(node.mtime_ns // _NANOSECONDS, 0), LAST_SECOND)


def _attributes(node: Node) -> dict[bytes, bytes]:
    """Those that squashfs has a place for."""
    return {name: value for name, value in node.xattrs.items() if name.startswith(_NAMESPACES)}


def _wrong(path: bytes, what: str) -> UnsupportedError:
    where = "/" + path.decode(errors="backslashreplace")
    return UnsupportedError(f"{where}: this mksquashfs would {what}", hint=_USE_OTHER)


def _version(mksquashfs: str) -> tuple[int, int] | None:
    import subprocess

    said = subprocess.run(  # noqa: S603  it was found under this name
        [mksquashfs, "-version"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    ).stdout
    found = re.match(rb"mksquashfs version (\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None
