"""User namespaces as open files, made without running any program.

A namespace lives as long as a process is in it or a file of it is open. So a child is made in a new
one, its maps are written, its file in procfs is opened, and the child is killed. The child never
comes back from the C library, where it sleeps on a stack of its own; it runs no Python and no fork
handler, and has the descriptors in common with this process, not copies of them: no lock is held
longer because of it, whatever other threads do meanwhile. It ends without a signal to its parent,
so that nobody else's handler or `wait` ever meets it. Where the parent is killed meanwhile it ends
by itself, and with it, a few seconds late, the locks of the parent.

Spec: user_namespaces(7); clone(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections import OrderedDict
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from orlop._sys.handle import Fd, libc
from orlop._sys.process import CAP_SETGID, has_capability
from orlop.errors import LimitExceededError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    from orlop.idmap import IdMapping, IdRange

MAX_MAP_SIZE: Final = 4095
"""Bytes of one map as text: the kernel takes less than a page."""
MAX_KEPT: Final = 64
"""Namespaces that `UserNamespaces` keeps open."""

CLONE_NEWUSER: Final = 0x10000000
_CLONE_FILES: Final = 0x400
_CLONE_PARENT_SETTID: Final = 0x100000
_WALL: Final = 0x40000000
_STACK_SIZE: Final = 64 << 10
_STACK_ALIGNMENT: Final = 16
LIFETIME: Final = 5
"""Seconds after which a child goes that nobody killed, because its parent was.

A parent that is only late finds what it needs all the same, until it has waited for the child.
"""

_HINTS: Final = {
    errno.ENOSPC: "raise /proc/sys/user/max_user_namespaces, or end other namespaces",
    errno.EUSERS: "raise /proc/sys/user/max_user_namespaces, or end other namespaces",
    errno.EPERM: "a seccomp profile or a setting such as kernel.unprivileged_userns_clone or "
    "kernel.apparmor_restrict_unprivileged_userns forbids them here",
    errno.EINVAL: "use a kernel that has user namespaces",
    errno.ENOSYS: "use a kernel that has user namespaces",
}


def user_namespace(mapping: IdMapping) -> Fd:
    """Make a user namespace with these maps and return its open file.

    Args:
        mapping: The maps; the host side are ids of this process's own namespace. Without privilege
            it is the process's own user and group, one id each.

    Raises:
        UnsupportedError: The kernel, a limit or a profile forbids namespaces, or this process may
            not map these ids.
        LimitExceededError: A map is over `MAX_MAP_SIZE`.
        OSError: The kernel failed otherwise.
    """
    return make_namespace(lambda pid: write_maps(pid, mapping))


def make_namespace(write: Callable[[int], None]) -> Fd:
    """Make a user namespace whose maps are written by the caller, and return its open file.

    Args:
        write: Given the pid of a process in the new namespace, writes the maps.

    Raises:
        UnsupportedError: The kernel, a limit or a profile forbids namespaces.
        OSError: The kernel failed otherwise, or `write` did.
    """
    namespace: Fd | None = None
    try:
        with _sleeper() as pid:
            write(pid)
            namespace = Fd(os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC))
    except BaseException:
        if namespace is not None:
            namespace.close()
        raise
    return namespace


def write_maps(pid: int, mapping: IdMapping) -> None:
    """Write the maps of a process's new user namespace.

    Raises:
        UnsupportedError: This process may not map these ids.
        LimitExceededError: A map is over `MAX_MAP_SIZE`.
        OSError: The kernel failed otherwise.
    """
    texts = [_map_text(mapping.uids), _map_text(mapping.gids)]
    try:
        if not has_capability(CAP_SETGID):
            _write(pid, "setgroups", b"deny")
        for name, text in zip(("uid_map", "gid_map"), texts, strict=True):
            _write(pid, name, text)
    except PermissionError as error:
        uids, gids = (", ".join(map(str, part)) for part in (mapping.uids, mapping.gids))
        raise UnsupportedError(
            f"no right to map the users {uids} and groups {gids}: {error}",
            hint="run as root, or map ids that are this user's own",
        ) from error


class UserNamespaces:
    """Namespaces by their maps, made once and kept open: the ones used last, a limited number.

    May be used from many threads. A context manager, which closes what it kept.

    Args:
        limit: How many are kept open.
    """

    def __init__(self, *, limit: int = MAX_KEPT) -> None:
        if limit < 1:
            raise ValueError("limit must be at least 1")
        self._limit = limit
        self._lock = Lock()
        self._kept: OrderedDict[IdMapping, Fd] = OrderedDict()

    def open(self, mapping: IdMapping) -> Fd:
        """An open file of a namespace with these maps, which the caller closes.

        Raises:
            UnsupportedError: As `user_namespace`, like the other errors.
        """
        with self._lock:
            kept = self._kept.get(mapping)
            if kept is None:
                kept = self._kept[mapping] = user_namespace(mapping)
                if len(self._kept) > self._limit:
                    self._kept.popitem(last=False)[1].close()
            self._kept.move_to_end(mapping)
            return Fd(os.dup(kept.fileno()))

    def close(self) -> None:
        """Close what is kept; what was given away stays open, and the object can be used again."""
        with self._lock:
            while self._kept:
                self._kept.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def _sleeper() -> Iterator[int]:
    """The pid of a child in a user namespace of its own, which is gone at the end."""
    # The child inherits that nothing interrupts its sleep; a signal's handler would be Python's.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    pid = ctypes.c_int(0)
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        _clone(pid)
        yield pid.value
    finally:
        # Known from memory that the kernel wrote: an exception may have come before any assignment.
        if pid.value > 0:
            _end(pid.value)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _clone(pid: ctypes.c_int) -> None:
    stack = ctypes.create_string_buffer(_STACK_SIZE)
    top = ctypes.addressof(stack) + _STACK_SIZE
    result = libc.clone(
        ctypes.cast(libc.sleep, ctypes.c_void_p),
        ctypes.c_void_p(top - top % _STACK_ALIGNMENT),
        CLONE_NEWUSER | _CLONE_FILES | _CLONE_PARENT_SETTID,
        ctypes.c_void_p(LIFETIME),
        ctypes.byref(pid),
    )
    if result < 0:
        pid.value = 0
        number = ctypes.get_errno()
        hint = _HINTS.get(number)
        text = f"no user namespace can be made here: {os.strerror(number)}"
        if hint is None:
            raise OSError(number, text)
        raise UnsupportedError(text, hint=hint)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, _WALL)
    except (ProcessLookupError, ChildProcessError):
        pass  # Somebody waits for all children, those without a signal too.


def _map_text(ranges: Sequence[IdRange]) -> bytes:
    text = "".join(f"{part.container} {part.host} {part.size}\n" for part in ranges).encode()
    if len(text) > MAX_MAP_SIZE:
        raise LimitExceededError(
            f"a map of {len(ranges)} ranges is {len(text)} bytes long",
            limit="MAX_MAP_SIZE",
            value=MAX_MAP_SIZE,
        )
    return text


def _write(pid: int, name: str, text: bytes) -> None:
    # The kernel takes a map in one write and only once.
    path = f"/proc/{pid}/{name}"
    with Fd(os.open(path, os.O_WRONLY | os.O_CLOEXEC)) as file:
        try:
            os.write(file.fileno(), text)
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
