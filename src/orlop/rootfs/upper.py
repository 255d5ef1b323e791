"""What overlay keeps in an upper directory, as a changeset: the other way round of `overlay_form`.

| on disk                                                  | changeset                     |
| -------------------------------------------------------- | ----------------------------- |
| character device 0:0                                     | whiteout                      |
| empty file with xattr `whiteout`, in a directory with    | whiteout                      |
| xattr `opaque` = `x`                                     |                               |
| directory with xattr `opaque` = `y`                      | directory, and opaque         |
| `trusted.overlay.overlay.*`                              | `trusted.overlay.*`           |
| xattrs `origin`, `impure`, `nlink`, `uuid`, `protattr`…  | nothing: overlay's own notes  |
| xattrs `metacopy`, `redirect`, and what is not known     | refused: the rest lies below  |

The names of xattrs stand behind `trusted.overlay.`, or `user.overlay.` where the mount has
`userxattr`. The root cannot be opaque: overlay does not look.

Spec: Linux, filesystems/overlayfs.rst, "whiteouts and opaque directories", "Nesting overlayfs
mounts".
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import fd_path
from orlop._sys.openat2 import open_beneath
from orlop._sys.process import CAP_SYS_ADMIN, has_capability, in_initial_user_namespace
from orlop._sys.xattr import xattrs_at, xattrs_of
from orlop.errors import LimitExceededError, NotFoundError, UnsafePathError, UnsupportedError
from orlop.rootfs.handles import Handles, Place
from orlop.rootfs.layer import TRUSTED_PREFIX, USER_PREFIX
from orlop.rootfs.owners import change_xattrs
from orlop.rootfs.read import MAX_INODES
from orlop.tree import NO_XATTRS, Link, Node, Opaque, Put, Whiteout
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from orlop.rootfs.create import OverlayNamespace
    from orlop.rootfs.owners import ChangeOwner
    from orlop.tree import Entry

_OPEN_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_OPAQUE: Final = b"opaque"
_HIDES_ALL: Final = b"y"
_HAS_WHITEOUT_FILES: Final = b"x"
_WHITEOUT: Final = b"whiteout"
_ESCAPED: Final = b"overlay."
_NOTES: Final = frozenset(
    {b"origin", b"impure", b"nlink", b"upper", b"uuid", b"protattr", _OPAQUE, _WHITEOUT}
)


def read_upper(
    dir_fd: int,
    *,
    namespace: OverlayNamespace = "trusted",
    map_ids: ChangeOwner | None = None,
    max_inodes: int = MAX_INODES,
) -> Iterator[Entry]:
    """Read an upper directory as the changeset that overlay shows on top of its lower ones.

    It is whole if nobody wrote to it meanwhile. Names come in byte order, what is below a
    directory right behind it: first its being opaque, then its whiteouts, then its entries. A
    further name of an inode is a `Link` to the first one. Nothing is followed.

    Args:
        dir_fd: The directory; borrowed until the last entry was taken.
        namespace: That of overlay's xattrs: `user` where it was mounted with `userxattr`.
        map_ids: Turns user and group as they are on disk into those of the image, in access
            control lists and file capabilities too.
        max_inodes: How many names are accepted.

    Returns:
        The entries, read as they are asked for. Regular files have their size and no `source`:
        `open_upper` opens them.

    Raises:
        UnsupportedError: A file or directory has parts of it in the layers below (the mount had
            `metacopy=on` or `redirect_dir=on`), or a mark that is not known; or this process may
            not see the marks of the namespace.
        LimitExceededError: There are more than `max_inodes` names.
        OSError: Something cannot be read, with its path.
    """
    if namespace == "trusted" and not (
        has_capability(CAP_SYS_ADMIN) and in_initial_user_namespace()
    ):
        raise UnsupportedError(
            "without privilege nobody sees what overlay notes in xattrs trusted.overlay.*",
            hint="run as root, or mount with userxattr",
        )
    prefix = TRUSTED_PREFIX if namespace == "trusted" else USER_PREFIX
    with Handles(Place(None, b"", dir_fd)) as handles:
        reader = _UpperReader(handles, prefix, map_ids, max_inodes)
        try:
            yield from reader.read()
        except OSError as error:
            raise OSError(error.errno, error.strerror, reader.where()) from error
        except NotFoundError as error:  # an owner that is not mapped
            raise error.inside(reader.where().decode("utf-8", "backslashreplace"))


def open_upper(dir_fd: int, path: bytes, *, one_mount: bool = False) -> int:
    """Open a regular file of an upper directory for reading, and return the descriptor.

    Neither a symbolic link nor anything that `path` has become meanwhile is followed or opened.
    Reading it leaves the time of last access alone where the file's owner or root does it.

    Args:
        dir_fd: The directory; borrowed.
        path: The path of a `Put` that `read_upper` gave.
        one_mount: Refuse what is mounted in the directory.

    Raises:
        UnsafePathError: It is no regular file.
        OSError: It cannot be opened, with its path; ELOOP for a link on the way.
    """
    found = open_beneath(dir_fd, path, os.O_PATH | os.O_NOFOLLOW, one_mount=one_mount)
    try:
        if os.fstat(found).st_mode & S_IFMT != S_IFREG:
            raise UnsafePathError("is no regular file", where=f"/{_show(path)}")
        # Opening a device or FIFO may do something: nothing is opened before it is known.
        try:
            return os.open(fd_path(found), _OPEN_FILE | os.O_NOATIME)
        except PermissionError:
            return os.open(fd_path(found), _OPEN_FILE)
    finally:
        os.close(found)


class _UpperReader:
    def __init__(
        self, handles: Handles, prefix: bytes, map_ids: ChangeOwner | None, max_inodes: int
    ) -> None:
        self._handles = handles
        self._prefix = prefix
        self._map_ids = map_ids
        self._max_inodes = max_inodes
        self._names = 0
        self._place = handles.root
        self._path = b""  # That of the place, with a slash where it is not the root.
        self._name = b""
        self._first: dict[tuple[int, int], bytes] = {}

    def where(self) -> bytes:
        """The path of the entry at hand."""
        return self._path + self._name

    def read(self) -> Iterator[Entry]:
        fd = self._handles.root.fd
        xattrs = xattrs_of(fd)
        yield Put(b"", self._node(os.fstat(fd), xattrs))
        stack = [(yield from self._begin(xattrs))]
        while stack:
            below = yield from self._read_entries(stack[-1])
            if below is not None:
                stack.append((yield from self._begin(below)))
                continue
            stack.pop()
            if self._place.parent is not None:
                self._leave(self._place.parent)

    def _leave(self, parent: Place) -> None:
        self._handles.leave(self._place)
        self._path = self._path[: -len(self._place.name) - 1]
        self._place, self._name = parent, b""

    def _begin(self, xattrs: Mapping[bytes, bytes]) -> Generator[Entry, None, Iterator[bytes]]:
        """Give the whiteouts of the directory at hand, and return its other names."""
        whiteout_files = xattrs.get(self._prefix + _OPAQUE) == _HAS_WHITEOUT_FILES
        dir_fd = self._handles.get(self._place)
        whiteouts: list[bytes] = []
        names: list[bytes] = []
        with os.scandir(dir_fd) as entries:
            for entry in entries:
                self._name = os.fsencode(entry.name)
                self._count()
                hides = self._is_whiteout(dir_fd, entry, whiteout_files=whiteout_files)
                (whiteouts if hides else names).append(self._name)
        self._name = b""
        for name in sorted(whiteouts):
            yield Whiteout(self._path + name)
        return iter(sorted(names))

    def _count(self) -> None:
        self._names += 1
        if self._names > self._max_inodes:
            raise LimitExceededError(
                "the directory holds too many names", limit="max_inodes", value=self._max_inodes
            )

    def _is_whiteout(
        self, dir_fd: int, entry: os.DirEntry[str], *, whiteout_files: bool
    ) -> bool:  # fmt: skip
        if entry.is_file(follow_symlinks=False):
            return (
                whiteout_files
                and not entry.stat(follow_symlinks=False).st_size
                and self._prefix + _WHITEOUT in xattrs_at(dir_fd, self._name)
            )
        if entry.is_dir(follow_symlinks=False) or entry.is_symlink():
            return False
        found = entry.stat(follow_symlinks=False)
        return found.st_mode & S_IFMT == S_IFCHR and not found.st_rdev

    def _read_entries(
        self, names: Iterator[bytes]
    ) -> Generator[Entry, None, Mapping[bytes, bytes] | None]:
        """Give entries until one is a directory, which is entered, and return its xattrs."""
        dir_fd = self._handles.get(self._place)
        for name in names:
            self._name = name
            path = self._path + name
            found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
            kind = found.st_mode & S_IFMT
            if found.st_nlink > 1 and kind != S_IFDIR:
                first = self._first.setdefault((found.st_dev, found.st_ino), path)
                if first is not path:
                    yield Link(path, first)
                    continue
            xattrs = xattrs_at(dir_fd, name)
            node = self._node(found, xattrs)
            if kind == S_IFLNK:
                node.target = os.readlink(name, dir_fd=dir_fd)
            yield Put(path, node)
            if kind == S_IFDIR:
                if xattrs.get(self._prefix + _OPAQUE) == _HIDES_ALL:
                    yield Opaque(path)
                self._place = Place(self._place, name)
                self._path, self._name = path + b"/", b""
                return xattrs
        return None

    def _node(self, found: os.stat_result, xattrs: Mapping[bytes, bytes]) -> Node:
        kind = found.st_mode & S_IFMT
        uid, gid = found.st_uid, found.st_gid
        shown = self._shown(xattrs) if xattrs else NO_XATTRS
        if self._map_ids is not None:
            shown = change_xattrs(shown, self._map_ids, uid, gid) if shown else shown
            uid, gid = self._map_ids(uid, gid)
        return Node(
            found.st_mode, uid, gid, found.st_mtime_ns,
            found.st_size if kind == S_IFREG else 0,
            found.st_rdev if kind in {S_IFCHR, S_IFBLK} else 0,
            xattrs=shown,
        )  # fmt: skip

    def _shown(self, xattrs: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
        """The attributes that overlay shows."""
        shown = {}
        for name, value in xattrs.items():
            if not name.startswith(self._prefix):
                shown[name] = value
                continue
            mark = name[len(self._prefix) :]
            if mark.startswith(_ESCAPED):
                shown[self._prefix + mark[len(_ESCAPED) :]] = value
            elif mark not in _NOTES:
                raise UnsupportedError(
                    f"/{_show(self.where())} has the xattr {_show(name)}: overlay keeps a part of "
                    "it elsewhere",
                    hint="mount overlays with metacopy=off,redirect_dir=nofollow",
                )
        return shown or NO_XATTRS


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
