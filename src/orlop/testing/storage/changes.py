"""Random changes, made to a layer that is mounted and to a plain directory alike.

Whatever the kernel says to one of them it has to say to the other. Times that it chose are taken
over from the layer, so that what becomes of them later is seen too.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from orlop.testing.storage.plain import PlainDirectory
    from orlop.testing.storage.powers import Powers

NAMES: Final = (
    b"a", b"b", b"c", b"d e", b"line\nbreak", b"\xff\xfe", "\u00fc".encode(), b"n" * 255, b".w",
    b"~", b"..h", b"a" * 100,
)  # fmt: skip
MODES: Final = (0o644, 0o600, 0o755, 0o4755, 0o2711, 0o1777, 0o400, 0o7777)
SIZES: Final = (0, 1, 511, 512, 513, 4096, 20_000, 200_000)
_DEPTH: Final = 4
_PATHS: Final = 80
_WRITE: Final = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_DEVICES: Final = ((stat.S_IFCHR, 1, 3), (stat.S_IFCHR, 300, 70_000), (stat.S_IFBLK, 8, 1))


class RandomChanges:
    """Makes changes that a generator of random numbers chooses.

    Args:
        random: The generator.
        powers: What may be done.
        plain: The plain directory.
    """

    def __init__(self, random: random.Random, powers: Powers, plain: PlainDirectory) -> None:
        self._random = random
        self._powers = powers
        self._plain = plain
        self._roots: tuple[bytes, ...] = (os.fsencode(plain.path),)
        self._changes: tuple[Callable[[], object], ...] = (
            self._create, self._create, self._append, self._overwrite, self._truncate, self._mkdir,
            self._mkdir, self._rename, self._rename, self._unlink, self._remove_tree, self._renew,
            self._symlink, self._mknod, self._link, self._link, self._chmod, self._chown,
            self._set_xattr, self._remove_xattr, self._utime,
        )  # fmt: skip

    def run(self, mounted: Path | None, count: int) -> None:
        """Make so many changes.

        Args:
            mounted: Where the layer is mounted for writing; None to change the plain directory
                alone, as what is to lie below a layer.
            count: How many.
        """
        self._roots = (os.fsencode(self._plain.path),)
        if mounted is not None:
            self._roots += (os.fsencode(mounted),)
        for _ in range(count):
            self._random.choice(self._changes)()

    # What there is.

    def _paths(self, *kinds: int) -> list[bytes]:
        """Paths below the root of inodes of these kinds; of all kinds without one."""
        top = len(self._roots[0]) + 1
        return [
            path[top:]
            for path in self._plain.walk()[1:]
            if not kinds or stat.S_IFMT(os.lstat(path).st_mode) in kinds
        ]

    def _pick(self, *kinds: int) -> bytes | None:
        found = self._paths(*kinds)
        return self._random.choice(found) if found else None

    def _is_dir(self, path: bytes) -> bool:
        return stat.S_ISDIR(os.lstat(os.path.join(self._roots[0], path)).st_mode)

    def _file(self) -> bytes | None:
        return self._pick(stat.S_IFREG)

    def _place(self) -> bytes:
        """A directory, often the root."""
        found = [path for path in self._paths(stat.S_IFDIR) if path.count(b"/") < _DEPTH - 1]
        return self._random.choice([b"", *found])

    def _free(self) -> bytes | None:
        """A path where nothing is; one that a layer below had there, often."""
        if len(self._paths()) > _PATHS:
            return None
        path = os.path.join(self._place(), self._random.choice(NAMES))
        return None if os.path.lexists(os.path.join(self._roots[0], path)) else path

    # How it is done to both.

    def _both(self, change: Callable[[bytes], object]) -> bool:
        """Do it to both, and see that both say the same; whether it was done.

        Args:
            change: Does it below one root.
        """
        said = []
        for root in self._roots:
            try:
                change(root)
            except OSError as error:
                said.append(error.errno)
            else:
                said.append(0)
        assert len(set(said)) == 1, f"{[os.strerror(number or 0) for number in said]}: {change}"
        return not said[0]

    def _settle(self, *paths: bytes) -> None:
        """Let both have the same times at these paths: those of the layer, or others."""
        for path in paths:
            if self._random.random() < 0.5:
                moment = os.lstat(os.path.join(self._roots[-1], path)).st_mtime_ns
                roots: tuple[bytes, ...] = self._roots[:1]
            else:
                moment, roots = self._moment(), self._roots
            for root in roots:
                where = os.path.join(root, path) if path else root
                os.utime(where, ns=(moment, moment), follow_symlinks=False)

    def _moment(self) -> int:
        return self._random.choice(
            (0, -1, 1, -(10**18), self._random.randint(0, 2 * 10**18), 2**31 * 10**9 - 1)
        )

    def _copy_up(self, path: bytes) -> None:
        self._plain.copy_up(os.path.join(self._roots[0], path))

    def _written(self, path: bytes, write: Callable[[int], object]) -> None:
        self._copy_up(path)

        def change(root: bytes) -> None:
            fd = os.open(os.path.join(root, path), _WRITE)
            try:
                write(fd)
            finally:
                os.close(fd)

        self._both(change)
        self._settle(path)

    # The changes.

    def _create(self) -> None:
        path = self._free()
        if path is None:
            return
        data = self._random.randbytes(self._random.choice(SIZES))
        mode = self._random.choice(MODES)

        def create(root: bytes) -> None:
            fd = os.open(os.path.join(root, path), _WRITE | os.O_CREAT | os.O_EXCL, mode & 0o777)
            with open(fd, "wb") as file:
                file.write(data)

        self._both(create)
        self._both(lambda root: os.chmod(os.path.join(root, path), mode))
        self._settle(path, os.path.dirname(path))

    def _append(self) -> None:
        if (path := self._file()) is not None:
            data = self._random.randbytes(self._random.choice(SIZES))
            self._written(path, lambda fd: os.pwrite(fd, data, os.fstat(fd).st_size))

    def _overwrite(self) -> None:
        """Write anywhere, beyond the end too: a hole is left there."""
        if (path := self._file()) is not None:
            data, offset = self._random.randbytes(100), self._random.choice((0, 1000, 1_000_000))
            self._written(path, lambda fd: os.pwrite(fd, data, offset))

    def _truncate(self) -> None:
        if (path := self._file()) is not None:
            size = self._random.choice((*SIZES, 3_000_000))
            self._written(path, lambda fd: os.ftruncate(fd, size))

    def _mkdir(self) -> None:
        path = self._free()
        if path is None:
            return
        self._both(lambda root: os.mkdir(os.path.join(root, path)))
        mode = self._random.choice(MODES) | 0o700
        self._both(lambda root: os.chmod(os.path.join(root, path), mode))
        self._settle(path, os.path.dirname(path))

    def _rename(self) -> None:
        old = self._pick()
        new = self._free() if self._random.random() < 0.6 else self._pick()
        if old is None or new is None:
            return
        source, target = (os.path.join(self._roots[0], path) for path in (old, new))
        if self._is_dir(old) and self._plain.is_lower(source):
            self._refused_rename(old, new)
            return
        if os.path.lexists(target):
            if os.lstat(source).st_ino == os.lstat(target).st_ino:
                return  # Two names of one inode; in an overlay they may be two inodes.
            if self._is_dir(old) != self._is_dir(new):
                self._both(lambda root: os.rename(os.path.join(root, old), os.path.join(root, new)))
                return
        self._copy_up(old)
        if self._both(lambda root: os.rename(os.path.join(root, old), os.path.join(root, new))):
            self._settle(new, os.path.dirname(old), os.path.dirname(new))

    def _refused_rename(self, old: bytes, new: bytes) -> None:
        """A directory of a lower layer is not renamed, if it is where it could be."""
        if os.path.lexists(os.path.join(self._roots[0], new)) or new.startswith(old + b"/"):
            return
        for root in self._roots[1:]:
            with pytest.raises(OSError, match=r"\[Errno 18\]"):  # EXDEV
                os.rename(os.path.join(root, old), os.path.join(root, new))

    def _unlink(self) -> None:
        kinds = (
            stat.S_IFREG,
            stat.S_IFLNK,
            stat.S_IFIFO,
            stat.S_IFSOCK,
            stat.S_IFCHR,
            stat.S_IFBLK,
        )
        if (path := self._pick(*kinds)) is not None:
            self._both(lambda root: os.unlink(os.path.join(root, path)))
            self._settle(os.path.dirname(path))

    def _remove_tree(self) -> bytes | None:
        """Remove a directory with all that is in it, but not often."""
        path = self._pick(stat.S_IFDIR)
        if path is None or self._random.random() < 0.5:
            return None
        for root in self._roots:
            _remove(os.path.join(root, path))
        self._settle(os.path.dirname(path))
        return path

    def _renew(self) -> None:
        """Make a directory anew, which hides what was in the old one."""
        path = self._remove_tree()
        if path is None:
            return
        self._both(lambda root: os.mkdir(os.path.join(root, path), 0o711))
        for name in self._random.sample(NAMES, 2):
            inside = os.path.join(path, name)
            self._both(lambda root: os.symlink(b"new", os.path.join(root, inside)))  # noqa: B023
            self._settle(inside)
        self._settle(path, os.path.dirname(path))

    def _symlink(self) -> None:
        path = self._free()
        if path is not None:
            target = self._random.choice(
                (b"a", b"/etc/passwd", b"../\xff", b"t" * 1000, b"nowhere")
            )
            self._both(lambda root: os.symlink(target, os.path.join(root, path)))
            self._settle(path, os.path.dirname(path))

    def _mknod(self) -> None:
        path = self._free()
        if path is None:
            return
        kind, major, minor = self._random.choice(
            [
                (stat.S_IFIFO, 0, 0),
                (stat.S_IFSOCK, 0, 0),
                *(_DEVICES if self._powers.devices else ()),
            ]
        )
        device = os.makedev(major, minor)
        self._both(lambda root: os.mknod(os.path.join(root, path), kind | 0o640, device))
        self._settle(path, os.path.dirname(path))

    def _link(self) -> None:
        old, new = self._pick(), self._free()
        if old is None or new is None or self._is_dir(old):
            return
        self._copy_up(old)
        self._both(
            lambda root: os.link(
                os.path.join(root, old), os.path.join(root, new), follow_symlinks=False
            )
        )
        self._settle(os.path.dirname(new))

    def _chmod(self) -> None:
        path = self._pick(stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFSOCK)
        if path is not None:
            private = 0o700 if self._is_dir(path) else 0
            mode = self._random.choice(MODES) | private
            self._copy_up(path)
            self._both(lambda root: os.chmod(os.path.join(root, path), mode))

    def _chown(self) -> None:
        path = self._pick()
        if path is not None and self._powers.owners:
            uid, gid = (self._random.choice(self._powers.owners) for _ in range(2))
            self._copy_up(path)
            self._both(
                lambda root: os.chown(os.path.join(root, path), uid, gid, follow_symlinks=False)
            )

    def _set_xattr(self) -> None:
        path = self._pick(stat.S_IFREG, stat.S_IFDIR)
        if path is None:
            return
        choices = dict(self._powers.xattrs)
        if self._is_dir(path):
            if self._powers.default_acls:
                choices["system.posix_acl_default"] = self._powers.default_acls
            choices.pop("security.capability", None)
        name = self._random.choice(sorted(choices))
        value = self._random.choice(choices[name])
        self._copy_up_for(name, path)
        self._both(lambda root: os.setxattr(os.path.join(root, path), name, value))

    def _remove_xattr(self) -> None:
        path = self._pick(stat.S_IFREG, stat.S_IFDIR)
        if path is None:
            return
        names = os.listxattr(os.path.join(self._roots[0], path))
        if names:
            name = self._random.choice(sorted(names))
            self._copy_up_for(name, path)
            self._both(lambda root: os.removexattr(os.path.join(root, path), name))

    def _copy_up_for(self, xattr: str, path: bytes) -> None:
        """Copy what lies below: a list is not changed where it sets none, such as on EROFS."""
        self._copy_up(path)
        if xattr.startswith("system."):
            self._both(lambda root: os.utime(os.path.join(root, path), ns=(1, 1)))

    def _utime(self) -> None:
        path = self._pick()
        if path is not None:
            moment = self._moment()
            self._copy_up(path)
            self._both(
                lambda root: os.utime(
                    os.path.join(root, path), ns=(moment, moment), follow_symlinks=False
                )
            )


def _remove(path: bytes) -> None:
    for folder, folders, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            below = os.path.join(folder, name)
            (os.unlink if os.path.islink(below) else os.rmdir)(below)
    os.rmdir(path)
