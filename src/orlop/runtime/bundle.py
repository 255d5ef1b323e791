"""Running one bundle, from its start to its end, and after it.

What the runtime keeps of a container, its log and the container's pid lie in a directory of their
own, so that no two containers get into each other's way:

    STATE/          0700
      root/         what the runtime keeps, while the container is there
      log           what went wrong, as JSON, one record a line
      pid           the pid of the container's first process, as the runtime sees it

The runtime and all that it starts end with the thread that calls `run_bundle`, whatever ends that:
see `orlop._sys.spawn`. What the runtime could not clean up then, `remove_state` does.
"""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd
from orlop._sys.signals import SignalFile
from orlop._sys.spawn import spawn_bound
from orlop.errors import InvalidError, RuntimeFailedError
from orlop.runtime.said import failure_of
from orlop.runtime.streams import Streams
from orlop.runtime.terminal import restored
from orlop.runtime.watch import Watch

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.runtime.find import Runtime

FORWARDED: Final = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGWINCH,
)  # fmt: skip
"""The signals that a container gets instead of the process that runs it."""

LONGEST_RUN: Final = 1e9
"""Seconds that a container may be given; some thirty years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a container ended.

    Attributes:
        exit_code: Its command's exit code; 128 and the number of the signal that ended it.
        stdout: What it wrote to its standard output, where that was kept.
        stderr: What it wrote to its standard error output; likewise.
    """

    exit_code: int
    stdout: bytes | None = None
    stderr: bytes | None = None


def check_timeout(timeout: float | None) -> None:
    """Refuse what is no time to wait.

    Raises:
        InvalidError: It is not above 0, or has no end.
    """
    if timeout is not None and not 0 < timeout <= LONGEST_RUN:
        raise InvalidError(
            f"{str(timeout)[:20]} s is no time that a container may run",
            hint=f"more than 0, and at most {LONGEST_RUN:g}; or none",
        )


def run_bundle(
    runtime: Runtime,
    bundle: Path,
    id: str,  # noqa: A002
    *,
    state: Path,
    streams: Streams | None = None,
    forward_signals: bool = False,
    timeout: float | None = None,
) -> Ended:
    """Run a bundle's container, and return how it ended.

    Nothing of it is left then, whatever ended it: neither processes nor what the runtime kept.

    Args:
        runtime: What runs it.
        bundle: The directory that `config.json` lies in. With a terminal in there, the first two
            streams must be one.
        id: What the runtime calls it.
        state: A directory for what is kept meanwhile, which is made where it is missing.
        streams: What its standard streams are; this process's own where None.
        forward_signals: Let signals that come to this process, and would end it, go to the
            container: for the main thread of a process that does nothing else.
        timeout: Seconds after which it is killed.

    Raises:
        InvalidError: The time is none.
        RuntimeFailedError: The container's command was not started.
        RunTimeoutError: It ran for too long.
        LimitExceededError: What it wrote is longer than `MAX_CAPTURED`, and was to be kept.
        OSError: The runtime could not be started.
    """
    check_timeout(timeout)
    streams = streams or Streams()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("log", "pid"):
        (state / name).unlink(missing_ok=True)
    command = [
        str(runtime.path), "--root", str(state / "root"), "--log", _log_of(runtime, state),
        "--log-format", "json", "run", "--pid-file", str(state / "pid"),
        "--bundle", str(bundle), id,
    ]  # fmt: skip
    with ExitStack() as stack:
        stack.callback(_clean, runtime, state, id)
        signals = stack.enter_context(SignalFile(_not_ignored())) if forward_signals else None
        if streams.stdin is not None:
            stack.enter_context(restored(streams.stdin))
        terminal = streams.stdin if streams.terminal else None
        watch = stack.enter_context(Watch(signals, state / "pid", terminal))
        inside = watch.connect(streams)
        watch.started(spawn_bound(command, environ=os.environ, streams=inside, hide=runtime.hidden))
        code = watch.wait(id, timeout)
        if code and not watch.stopped_early:
            failure = failure_of(runtime, state, code, watch.captured("stderr"))
            if failure is not None:
                raise failure
        return Ended(
            exit_code=code, stdout=watch.captured("stdout"), stderr=watch.captured("stderr")
        )


def _log_of(runtime: Runtime, state: Path) -> str:
    """What a runtime calls its log: for crun, what stands before a colon is a kind of logs."""
    kind = "file:" if runtime.name.startswith("crun") else ""
    return f"{kind}{state / 'log'}"


def _not_ignored() -> list[int]:
    """The signals that are forwarded: `nohup` and the like have some ignored, and mean all."""
    return [each for each in FORWARDED if signal.getsignal(each) is not signal.SIG_IGN]


def _clean(runtime: Runtime, state: Path, id: str) -> None:  # noqa: A002
    if (state / "root" / id).exists():
        remove_state(runtime, state, id)


def remove_state(runtime: Runtime, state: Path, id: str) -> None:  # noqa: A002
    """Let a runtime remove what it kept of a container that is no more, and its control groups.

    Raises:
        RuntimeFailedError: It could not, and said why.
        OSError: The runtime could not be started.
    """
    command = [str(runtime.path), "--root", str(state / "root"), "delete", "--force", id]
    with Fd(os.memfd_create("said", os.MFD_CLOEXEC)) as said, open(os.devnull, "r+b") as null:
        streams = (null.fileno(), said.fileno(), said.fileno())
        pid = spawn_bound(command, environ=os.environ, streams=streams, hide=runtime.hidden)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        text = os.pread(said.fileno(), 500, 0).decode(errors="backslashreplace")
    left = state / "root" / id
    if status and left.exists():
        raise RuntimeFailedError(
            f"{runtime.name} cannot remove what it keeps of container {id}",
            status=status, said=" ".join(text.split()), hint=f"see {left}",
        )  # fmt: skip
    shutil.rmtree(left, ignore_errors=True)
