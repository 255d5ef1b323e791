"""How a container is run, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from orlop.errors import InvalidError
from orlop.runtime.bundle import check_timeout
from orlop.runtime.streams import Streams
from orlop.runtime.terminal import size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.bundle.options import SpecOption


class HasFileno(Protocol):
    """An open file."""

    def fileno(self) -> int:
        """Its descriptor."""


Stream: TypeAlias = "int | HasFileno | None"
"""An open file or its descriptor; None for an empty file, which drops what is written to it."""


def require_words(words: Sequence[str] | None, what: str) -> None:
    """Refuse one text where several words are meant: it would be taken for its letters.

    Raises:
        TypeError: It is one text.
    """
    if isinstance(words, (str, bytes)):
        raise TypeError(f"{what} is a sequence of words, such as ['ls', '-l'], and not one text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A directory or file of the machine that a container sees.

    Attributes:
        source: Where it is on the machine; it must be there.
        destination: Where it is in the container; an absolute path.
        read_only: Whether the container may not write to it.
    """

    source: str
    destination: str
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Read `SOURCE:DESTINATION`, followed by `:ro` or `:rw`.

        Raises:
            InvalidError: It is no such text.
        """
        words = text.split(":")
        mode = words.pop() if len(words) == 3 else "rw"
        if len(words) != 2 or mode not in {"ro", "rw"} or not all(words):
            raise InvalidError(
                f"{text[:200]!r} is no volume", hint="SOURCE:DESTINATION, or SOURCE:DESTINATION:ro"
            )
        return cls(source=words[0], destination=words[1], read_only=mode == "ro")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a container is run; what is not said is as its image says.

    Attributes:
        runtime: The OCI runtime: `crun`, `runc` or another program, by name or path; the first that
            is installed where None.
        name: What the container is called, where it is made for this.
        rm: Remove a container that was made for this when it has ended, with all that it wrote.
            One that was there before always stays.
        entrypoint: The words that the command begins with, instead of the image's.
        env: Variables of the environment.
        user: Who it runs as: `user`, `uid`, and either followed by `:group` or `:gid`.
        working_dir: Where it starts.
        volumes: Directories and files of the machine that it sees, also as texts.
        network: `none`, for a network with nothing in it but itself; or `host`, for the machine's.
        read_only: Let it write to nothing but volumes.
        memory: Bytes that it may use, or a text such as `256M`.
        cpus: Processors whose time it may use, such as 0.5.
        pids: Processes and threads that it may have at once; -1 for any number.
        hostname: What it calls itself; the beginning of its ID where None.
        terminal: Give it a terminal: this process's, which the first two streams must be.
        stdin: Its standard input; empty by default.
        stdout: Its standard output; this process's by default.
        stderr: Its standard error output; likewise.
        input: Bytes for its standard input, instead of a file.
        capture: Keep what it writes to both outputs for the result, up to `MAX_CAPTURED` bytes
            each.
        timeout: Seconds after which it is killed, at most `LONGEST_RUN`.
        forward_signals: Let signals that come to this process go to the container; see
            `run_bundle`.
        spec: Options of `orlop.bundle.options` that are applied after all this.

    Raises:
        InvalidError: The hostname is empty, the time or the network none, or a variable has no
            name.
        TypeError: The entrypoint is one text, the user none, or the environment no mapping.
    """

    runtime: str | None = None
    name: str | None = None
    rm: bool = True
    entrypoint: Sequence[str] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    working_dir: str | None = None
    volumes: Sequence[Volume | str] = ()
    network: Literal["none", "host"] = "none"
    read_only: bool = False
    memory: int | str | None = None
    cpus: float | str | None = None
    pids: int | None = None
    hostname: str | None = None
    terminal: bool = False
    stdin: Stream = None
    stdout: Stream = 1
    stderr: Stream = 2
    input: bytes | None = None
    capture: bool = False
    timeout: float | None = None
    forward_signals: bool = False
    spec: Sequence[SpecOption] = ()

    def __post_init__(self) -> None:
        require_words(self.entrypoint, "entrypoint")
        if not isinstance(self.env, Mapping):
            raise TypeError("env maps names of variables to values")
        if self.user is not None and not isinstance(self.user, str):
            raise TypeError("user is a text: 'user', 'uid', 'user:group' or 'uid:gid'")
        check_timeout(self.timeout)
        if self.network not in {"none", "host"}:
            raise InvalidError(
                f"{str(self.network)[:40]!r} is no network that a container can have",
                hint="none or host",
            )
        if self.hostname == "":
            raise InvalidError("a hostname is empty", hint="leave it away for the container's ID")
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value:
                raise InvalidError(
                    f"{f'{name}={value}'[:40]!r} is no variable of an environment",
                    hint="a name without =, and no NUL",
                )

    def streams(self) -> Streams:
        """The container's standard streams."""
        return Streams(
            stdin=_number(self.stdin),
            stdout=_number(self.stdout),
            stderr=_number(self.stderr),
            input=self.input,
            capture=self.capture,
            terminal=self.terminal,
        )

    def spec_options(self, args: Sequence[str]) -> list[SpecOption]:
        """What changes a runtime configuration that says what the image says.

        Args:
            args: What follows the entrypoint, instead of the image's own command; if any.

        Raises:
            InvalidError: Something is not what it should be.
            NotFoundError: The source of a volume is not there.
        """
        from orlop.bundle import options

        found: list[SpecOption] = []
        if self.entrypoint is not None:
            found.append(options.entrypoint(*self.entrypoint))
        if args:
            found.append(options.command(*args))
        if self.env:
            found.append(options.env(self.env))
        if self.user is not None:
            found.append(options.user(self.user))
        if self.working_dir is not None:
            found.append(options.working_dir(self.working_dir))
        if self.network == "host":
            found.append(options.host_network())
        if self.read_only:
            found.append(options.read_only())
        if self.hostname is not None:
            found.append(options.hostname(self.hostname))
        if self.terminal:
            found.append(options.terminal(size=size_of(_number(self.stdout))))
        return [*found, *self._limits(), *self._mounts(), *self.spec]

    def _limits(self) -> list[SpecOption]:
        from orlop.bundle import options

        found: list[SpecOption] = []
        if self.memory is not None:
            found.append(options.memory_limit(self.memory))
        if self.cpus is not None:
            found.append(options.cpu_limit(self.cpus))
        if self.pids is not None:
            found.append(options.pids_limit(self.pids))
        return found

    def _mounts(self) -> list[SpecOption]:
        from orlop.bundle import options

        volumes = [Volume.parse(each) if isinstance(each, str) else each for each in self.volumes]
        return [
            options.bind(
                os.path.expanduser(each.source), each.destination, read_only=each.read_only
            )
            for each in volumes
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a container ended.

    Attributes:
        exit_code: Its command's exit code; 128 and the number of the signal that ended it.
        stdout: What it wrote to its standard output, where that was kept.
        stderr: What it wrote to its standard error output; likewise.
        container: The ID of the container; None where it is gone.
    """

    exit_code: int
    stdout: bytes | None = None
    stderr: bytes | None = None
    container: str | None = None


def _number(stream: Stream) -> int | None:
    return stream if stream is None or isinstance(stream, int) else stream.fileno()
