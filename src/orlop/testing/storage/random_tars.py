"""Random tars, and what each does to a plain directory.

They hold to what archivers do: each path comes once, its parents before it where they have an
entry, hard links after what they name.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from typing import TYPE_CHECKING

from orlop.testing.storage.changes import MODES, NAMES, SIZES
from orlop.testing.storage.plain import kept_time

if TYPE_CHECKING:
    import random

    from orlop.testing.storage.plain import PlainDirectory
    from orlop.testing.storage.powers import Powers


class RandomTar:
    """Makes one tar, and changes a plain directory by it.

    Args:
        random: What chooses.
        powers: Which owners and devices may be there.
        plain: The directory.
    """

    def __init__(self, random: random.Random, powers: Powers, plain: PlainDirectory) -> None:
        self._random = random
        self._powers = powers
        self._root = os.fsencode(plain.path)
        self._plain = plain
        self._members: list[tuple[tarfile.TarInfo, bytes]] = []
        self._met: set[bytes] = set()
        self._files: list[bytes] = []

    def make(self, count: int) -> bytes:
        """The tar, with about so many members; the directory has been changed by it."""
        for _ in range(self._random.randrange(4)):
            self._whiteout()
        if self._random.random() < 0.3:
            self._opaque()
        for _ in range(count):
            self._random.choice(
                (self._file, self._directory, self._symlink, self._special, self._link)
            )()
        out = io.BytesIO()
        with tarfile.open(
            fileobj=out, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8"
        ) as tar:
            for info, data in self._members:
                tar.addfile(info, io.BytesIO(data))
        return out.getvalue()

    def _whiteout(self) -> None:
        path = self._old()
        if path is None:
            return
        self._met.add(path)
        folder, name = os.path.split(path)
        self._add(_member(os.path.join(folder, b".wh." + name)))
        with kept_time(os.path.dirname(self._at(path))):
            _remove(self._at(path))

    def _opaque(self) -> None:
        path = self._old(directory=True)
        if path is None or any(met.startswith(path + b"/") for met in self._met):
            return
        self._met.add(path)
        self._put_directory(path)
        self._add(_member(path + b"/.wh..wh..opq"))
        with kept_time(self._at(path)):
            for name in os.listdir(self._at(path)):
                _remove(os.path.join(self._at(path), name))

    def _file(self) -> None:
        path = self._new()
        if path is None:
            return
        data = self._random.randbytes(self._random.choice(SIZES))
        info = self._dressed(_member(path, size=len(data)))
        self._add(info, data)
        with self._making(path):
            with open(self._at(path), "wb") as file:
                file.write(data)
            self._dress(path, info)
        self._files.append(path)

    def _directory(self) -> None:
        path = self._new(keep_directory=True)
        if path is not None:
            self._put_directory(path)

    def _put_directory(self, path: bytes) -> None:
        info = self._dressed(_member(path, type=tarfile.DIRTYPE))
        info.mode |= 0o700
        self._add(info)
        if os.path.isdir(self._at(path)) and not os.path.islink(self._at(path)):
            for name in os.listxattr(self._at(path)):
                os.removexattr(self._at(path), name)
        else:
            with self._making(path):
                os.mkdir(self._at(path))
        self._dress(path, info)

    def _symlink(self) -> None:
        path = self._new()
        if path is not None:
            target = self._random.choice((b"a", b"/nowhere", b"l" * 300))
            info = self._dressed(_member(path, type=tarfile.SYMTYPE, linkname=_text(target)))
            info.mode = 0o777
            self._add(info)
            with self._making(path):
                os.symlink(target, self._at(path))
                self._dress(path, info)

    def _special(self) -> None:
        path = self._new()
        if path is None:
            return
        kinds = [tarfile.FIFOTYPE, *([tarfile.CHRTYPE] if self._powers.devices else [])]
        info = self._dressed(_member(path, type=self._random.choice(kinds), devmajor=5, devminor=1))
        self._add(info)
        kind = stat.S_IFIFO if info.isfifo() else stat.S_IFCHR
        with self._making(path):
            os.mknod(self._at(path), kind, os.makedev(5, 1))
            self._dress(path, info)

    def _link(self) -> None:
        path = self._new() if self._files else None
        targets = [each for each in self._files if os.path.lexists(self._at(each))]
        if path is None or not targets:
            return
        target = self._random.choice(targets)
        self._add(_member(path, type=tarfile.LNKTYPE, linkname=_text(target)))
        with self._making(path):
            os.link(self._at(target), self._at(path))

    # What is there, and what may come.

    def _at(self, path: bytes) -> bytes:
        return os.path.join(self._root, path) if path else self._root

    def _paths(self) -> list[bytes]:
        return [path[len(self._root) + 1 :] for path in self._plain.walk()[1:]]

    def _old(self, *, directory: bool = False) -> bytes | None:
        """A path that is there and that the tar has not named, nor anything below or above it."""
        found = [
            path
            for path in self._paths()
            if not self._is_met(path)
            and (not directory or stat.S_ISDIR(os.lstat(self._at(path)).st_mode))
        ]
        return self._random.choice(found) if found else None

    def _is_met(self, path: bytes) -> bool:
        return path in self._met or any(met.startswith(path + b"/") for met in self._met)

    def _new(self, *, keep_directory: bool = False) -> bytes | None:
        """A path for a new entry; what is there is removed."""
        folders = [b""] + [
            path
            for path in self._paths()
            if path.count(b"/") < 3 and stat.S_ISDIR(os.lstat(self._at(path)).st_mode)
        ]
        path = os.path.join(self._random.choice(folders), self._random.choice(NAMES))
        if self._is_met(path):
            return None
        self._met.add(path)
        if os.path.lexists(self._at(path)) and not (
            keep_directory and stat.S_ISDIR(os.lstat(self._at(path)).st_mode)
        ):
            with kept_time(os.path.dirname(self._at(path))):
                _remove(self._at(path))
        return path

    def _making(self, path: bytes) -> kept_time:
        return kept_time(os.path.dirname(self._at(path)))

    # Attributes.

    def _dressed(self, info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mode = self._random.choice(MODES)
        owners = self._powers.owners or (os.geteuid(),)
        info.uid, info.gid = self._random.choice(owners), self._random.choice(owners)
        if not self._powers.owners:
            info.gid = os.getegid()
        seconds, fraction = (
            self._random.randint(-(2**31), 2**31 - 1),
            self._random.randint(0, 10**9),
        )
        info.pax_headers = {"mtime": f"{seconds}.{fraction % 10**9:09d}"}
        if (info.isfile() or info.isdir()) and self._random.random() < 0.3:
            info.pax_headers["SCHILY.xattr.user.tar"] = f"{self._random.random()}"
        return info

    def _dress(self, path: bytes, info: tarfile.TarInfo) -> None:
        place = self._at(path)
        os.chown(place, info.uid, info.gid, follow_symlinks=False)
        note = info.pax_headers.get("SCHILY.xattr.user.tar")
        inherited = os.listxattr(place, follow_symlinks=False)
        for name in inherited:
            os.removexattr(place, name, follow_symlinks=False)
        if note is not None:
            os.setxattr(place, "user.tar", note.encode())
        if not info.issym():
            os.chmod(place, info.mode)
        seconds, _, fraction = info.pax_headers["mtime"].partition(".")
        moment = int(seconds) * 10**9 + (-1 if seconds.startswith("-") else 1) * int(fraction)
        os.utime(place, ns=(moment, moment), follow_symlinks=False)

    def _add(self, info: tarfile.TarInfo, data: bytes = b"") -> None:
        self._members.append((info, data))


def _member(path: bytes, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(_text(path))
    for name, value in attributes.items():
        setattr(info, name, value)
    return info


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _remove(path: bytes) -> None:
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)
