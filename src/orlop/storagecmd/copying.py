"""`copy`: files and directories into a layer, out of it, or from one to another."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError, NotFoundError, OrlopError
from orlop.storagecmd.forms import quoted
from orlop.storagecmd.session import NO_LAYER, os_error_text
from orlop.storagecmd.trees import Owners, copy_directory, copy_file

if TYPE_CHECKING:
    from orlop.idmap import IdMapping
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Session

_DIRECTORY_MODE: Final = 0o755
_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC
_OPEN_DIRECTORY: Final = _OPEN | os.O_DIRECTORY


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where something is copied from or to.

    Attributes:
        root: The root that its path is read from: that of the mounted layer, or of the machine.
        path: The path below it, without slashes at its ends.
        shown: As an error names it.
        mapping: How the IDs of its files are mapped.
    """

    root: int
    path: str
    shown: str
    mapping: IdMapping | None

    def open(self, flags: int) -> int:
        """Open it; a layer's links lead nowhere out of the layer."""
        from orlop._sys.openat2 import open_in_root

        return open_in_root(self.root, os.fsencode(self.path) or b".", flags)


def copy(session: Session, call: Call) -> int:
    """`copy`."""
    owner = _owner(call.text("chown"))
    *sources, target = call.arguments
    with ExitStack() as stack:
        to = _place(session, stack, target)
        for source in sources:
            place = _place(session, stack, source)
            try:
                _copy(place, to, owner)
            except (OrlopError, OSError) as error:
                why = os_error_text(error) if isinstance(error, OSError) else str(error)
                raise InvalidError(
                    f"error copying {quoted(place.shown)} to {quoted(to.shown)}: {why}"
                ) from None
    return 0


def _owner(text: str) -> tuple[int, int] | None:
    """The owner of every copy, where one is given: a user, and a group or the same number."""
    if not text:
        return None
    user, has_group, group = text.partition(":")
    for what, number in (("UID", user), ("GID", group if has_group else user)):
        if not (number.isascii() and number.isdecimal() and int(number) < 2**32):
            raise InvalidError(f"bad {what}: {quoted(number)} is no number of one")
    return int(user), int(group if has_group else user)


def _place(session: Session, stack: ExitStack, word: str) -> _Place:
    """What `PATH` or `LAYER:PATH` means; a layer stays mounted until the stack is left."""
    key, in_layer, path = word.partition(":")
    if not in_layer:
        root = os.open("/", _OPEN_DIRECTORY)
        stack.callback(os.close, root)
        return _Place(root=root, path=os.path.abspath(word), shown=word, mapping=None)
    try:
        storage, layer = session.find_layer(key)
    except NotFoundError:
        raise NotFoundError(f"error finding layer {quoted(key)}: {NO_LAYER}") from None
    mounted = stack.enter_context(storage.layers.mount(layer.id))
    root = os.open(mounted, _OPEN_DIRECTORY)
    stack.callback(os.close, root)
    return _Place(root=root, path=path.strip("/"), shown=word, mapping=layer.id_mapping)


def _copy(source: _Place, target: _Place, owner: tuple[int, int] | None) -> None:
    owners = Owners(fixed=owner, source=source.mapping, target=target.mapping)
    fd = source.open(_OPEN | os.O_NONBLOCK)
    try:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            into = _make_directories(target, target.path, owners)
            try:
                copy_directory(fd, into, owners)
            finally:
                os.close(into)
            return
        folder, name = os.path.split(target.path)
        if not name:
            raise InvalidError("a directory is not overwritten with a file")
        into = _make_directories(target, folder, owners)
        try:
            copy_file(fd, into, os.fsencode(name), owners)
        finally:
            os.close(into)
    finally:
        os.close(fd)


def _make_directories(target: _Place, path: str, owners: Owners) -> int:
    """Open a directory of the target, and make those of its path that are missing."""
    from orlop._sys.openat2 import open_in_root

    done = b"."
    for name in os.fsencode(path).split(b"/"):
        if name in (b"", b"."):
            continue
        parent = open_in_root(target.root, done, _OPEN_DIRECTORY)
        try:
            if name != b"..":
                _make_directory(parent, name, owners)
        finally:
            os.close(parent)
        done += b"/" + name
    return open_in_root(target.root, done, _OPEN_DIRECTORY)


def _make_directory(parent: int, name: bytes, owners: Owners) -> None:
    try:
        os.mkdir(name, _DIRECTORY_MODE, dir_fd=parent)
    except FileExistsError:
        return
    os.chown(name, *owners.root, dir_fd=parent, follow_symlinks=False)
    os.chmod(name, _DIRECTORY_MODE, dir_fd=parent)
