"""Starting a program that ends with the thread that started it, and all that it started with it.

The program is the first process of a PID namespace of its own: when it ends, the kernel ends
whatever is left in there. It is killed when the thread that started it ends, however that comes
about. It has a mount namespace of its own, too, with the processes of the PID namespace at `/proc`;
mounts made outside later are seen there, its own are not seen outside.

Spec: pid_namespaces(7); mount_namespaces(7); PR_SET_PDEATHSIG(2const).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import threading
import warnings
from typing import TYPE_CHECKING, Final, NoReturn

from orlop._sys.handle import Fd, call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CLONE_NEWPID: Final = 0x20000000
_CLONE_NEWNS: Final = 0x00020000
_PR_SET_PDEATHSIG: Final = 1
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_REC: Final = 0x4000
_MS_SLAVE: Final = 0x80000
_MAX_SAID: Final = 4096
_CHANGED: Final = (signal.SIGPIPE, signal.SIGXFSZ)
"""What Python ignores, and programs are not used to."""
_forking = threading.local()


def spawn_bound(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    streams: tuple[int, int, int],
    hide: Sequence[str] = (),
) -> int:
    """Start a program that cannot outlive this thread, and return its pid.

    It has begun when this returns. As the first process of a PID namespace it is not ended by a
    signal that it has no handler for, but for SIGKILL. The caller waits for it.

    Args:
        command: The program's path, and its arguments.
        environ: Its environment.
        streams: What its standard streams are.
        hide: Directories that are empty for it.

    Raises:
        OSError: It could not be started; the message says at which step.
    """
    words = [os.fsencode(word) for word in command]
    values = {os.fsencode(key): os.fsencode(value) for key, value in environ.items()}
    reading, writing = map(Fd, os.pipe2(os.O_CLOEXEC))
    with reading:
        with writing:
            pid = _fork()
            if not pid:
                _begin(words, values, streams, hide, reading, writing)
        said = os.read(reading.fileno(), _MAX_SAID)
    if said:
        os.waitpid(pid, 0)
        number, _, text = said.decode(errors="backslashreplace").partition(" ")
        raise OSError(int(number), f"{text}: {os.strerror(int(number))}", command[0])
    return pid


def becomes_program() -> bool:
    """Whether the fork that this thread is about to make is one of `spawn_bound`.

    For those who prepare for forks: its child makes system calls until it is another program, and
    uses nothing that it inherits.
    """
    return getattr(_forking, "program", False)


def _fork() -> int:
    """Fork; in the child, which is in a PID namespace of its own, all signals are blocked."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = -1
    try:
        with Fd(os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)) as own:
            call("unshare", _CLONE_NEWPID)
            try:
                with warnings.catch_warnings():
                    # The child makes system calls, and nothing else, until it is the program.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    _forking.program = True
                    pid = os.fork()
            finally:
                _forking.program = False
                if pid:
                    _restore(own)
    finally:
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _restore(own: Fd) -> None:
    """Let further children be in this process's PID namespace again.

    In a user namespace there is no right to: the next program has another one, and others fail.
    """
    try:
        call("setns", own.fileno(), _CLONE_NEWPID)
    except PermissionError:
        pass


def _begin(
    words: list[bytes],
    environ: dict[bytes, bytes],
    streams: tuple[int, int, int],
    hide: Sequence[str],
    reading: Fd,
    writing: Fd,
) -> NoReturn:
    """Become the program; where that fails, say why and end."""
    step = "prepare"
    try:
        os.close(reading.fileno())
        call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
        _require_parent(writing)
        step = "mount /proc"
        call("unshare", _CLONE_NEWNS)
        call("mount", None, b"/", None, _MS_REC | _MS_SLAVE, None)
        call("mount", b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)
        step = "hide a directory"
        for each in hide:
            call("mount", b"none", os.fsencode(each), b"tmpfs", _MS_NOSUID | _MS_NODEV, b"size=4k")
        step = "pass streams on"
        _become_streams(streams)
        for number in _CHANGED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        step = "execve"
        os.execve(words[0], words, environ)  # noqa: S606 - what the caller wants
    except BaseException as error:
        reason = getattr(error, "errno", None) or errno.EIO
        os.write(writing.fileno(), f"{reason} {step}".encode())
    os._exit(127)


def _require_parent(writing: Fd) -> None:
    """End if the parent has ended already, which nobody would have told of."""
    poll = select.poll()
    poll.register(writing.fileno(), 0)
    if poll.poll(0):
        os._exit(127)


def _become_streams(streams: tuple[int, int, int]) -> None:
    # Copies first, above the numbers that are written to: one stream may be in another's place.
    copies = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, len(streams)) for each in streams]
    for number, copy in enumerate(copies):
        os.dup2(copy, number, inheritable=True)
