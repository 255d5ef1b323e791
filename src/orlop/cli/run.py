"""`orlop run`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Final, Literal

from orlop.cli.failure import UsageError, interrupt_behind, report
from orlop.cli.obtain import PullWhen, obtain
from orlop.cli.parameter import Parameter
from orlop.cli.registry import DEFAULT_FLAGS, RegistryFlags
from orlop.cli.settings import become_root, open_store
from orlop.errors import NotFoundError, OrlopError, RuntimeFailedError, RunTimeoutError

if TYPE_CHECKING:
    from orlop.store import Store

NOT_RUN: Final = 125
"""The exit code where the container's command was not started, whatever the reason."""
TIMED_OUT: Final = 124

_Flag = Annotated[bool, Parameter(negative="")]


def run(
    image: str,
    /,
    *command: Annotated[str, Parameter(allow_leading_hyphen=True, takes_rest=True)],
    rm: _Flag = False,
    interactive: Annotated[bool, Parameter(alias="-i", negative="")] = False,
    tty: Annotated[bool, Parameter(alias="-t", negative="")] = False,
    name: str | None = None,
    env: Annotated[tuple[str, ...], Parameter(alias="-e", negative="", show_default=False)] = (),
    user: Annotated[str | None, Parameter(alias="-u")] = None,
    workdir: Annotated[str | None, Parameter(alias="-w")] = None,
    volume: Annotated[tuple[str, ...], Parameter(alias="-v", negative="", show_default=False)] = (),
    network: Literal["none", "host"] = "none",
    read_only: _Flag = False,
    memory: Annotated[str | None, Parameter(alias="-m")] = None,
    cpus: str | None = None,
    pids_limit: int | None = None,
    hostname: str | None = None,
    entrypoint: str | None = None,
    runtime: str | None = None,
    timeout: float | None = None,
    pull: PullWhen = "missing",
    platform: str | None = None,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    registry: RegistryFlags = DEFAULT_FLAGS,
) -> int:
    """Run a command in a container, and end with its exit code.

    The container is made of an image, and stays with what it wrote unless --rm is given: `orlop run
    CONTAINER` runs it again, by its ID or name. It ends with this process, whatever ends that.

    125 is the exit code where the command was not started, 126 where it cannot be executed, 127
    where there is none, 124 where the time was over, and 128 and the number of the signal that
    ended it.

    Args:
        image: A container's ID or name; or an image's; or what `orlop pull` takes, of an image that
            is not here.
        command: What follows the image's entrypoint, instead of its own command; all that stands
            behind the image, whatever it looks like.
        rm: Remove the container when it has ended, if it was made for this.
        interactive: Let it read this standard input; it is empty otherwise.
        tty: Give it a terminal, which is this one.
        name: What the container is called.
        env: NAME=VALUE, a variable of its environment, or NAME, to take over this one's; may be
            given several times.
        user: USER[:GROUP], names or numbers, who it runs as.
        workdir: The directory that it starts in.
        volume: SOURCE:DESTINATION[:ro], something of this machine that it sees; may be given
            several times.
        network: none, for one with nothing in it but itself; or host, for this machine's.
        read_only: Let it write to nothing but volumes.
        memory: What it may use at most, such as 256M.
        cpus: How many processors' time it may use, such as 0.5.
        pids_limit: How many processes it may have at once; -1 for any number.
        hostname: What it calls itself.
        entrypoint: What the command begins with, instead of the image's; nothing where it is empty.
        runtime: The OCI runtime: crun, runc or another, by its name or path.
        timeout: Seconds after which it is killed.
        pull: When the image is pulled.
        platform: Which image of several is pulled.
        quiet: Show no progress.
        registry: How registries are reached.
    """
    from orlop.runtime import RunOptions

    try:
        options = RunOptions(
            runtime=runtime,
            name=name,
            rm=rm,
            entrypoint=None if entrypoint is None else (entrypoint,) if entrypoint else (),
            env=_environment(env),
            user=user,
            working_dir=workdir,
            volumes=volume,
            network=network,
            read_only=read_only,
            memory=memory,
            cpus=cpus,
            pids=pids_limit,
            hostname=hostname,
            terminal=tty,
            stdin=0 if interactive or tty else None,
            timeout=timeout,
            forward_signals=True,
        )
        become_root()
        with open_store() as store:
            found = _bring(store, image, pull, platform, registry, quiet=quiet)
            sys.stdout.flush()
            return store.run_container(found, command, options).exit_code
    except UsageError:
        raise
    except (OrlopError, OSError) as error:
        if interrupt_behind(error) is not None:
            raise
        report(error)
        if isinstance(error, RuntimeFailedError):
            return error.exit_code
        return TIMED_OUT if isinstance(error, RunTimeoutError) else NOT_RUN


def _environment(entries: tuple[str, ...]) -> dict[str, str]:
    """Variables by name; what is given without a value has this process's, if any."""
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not name:
            raise UsageError(f"{entry[:40]!r} is no variable", hint="NAME=VALUE, or NAME")
        if equals or name in os.environ:
            found[name] = value if equals else os.environ[name]
    return found


def _bring(
    store: Store,
    name: str,
    pull: PullWhen,
    platform: str | None,
    registry: RegistryFlags,
    *,
    quiet: bool,
) -> str:
    """What to run, which is pulled where it is an image that is not here, or is to be."""
    if pull != "always" and _is_container(store, name):
        if platform is not None:
            raise UsageError(f"{name} is a container, of which no platform is chosen")
        return name
    if pull != "always" and _is_nameless(store, name):
        if platform is not None:
            raise UsageError(f"{name} is one image, of which no platform is chosen")
        return name
    # By its ID: the name may stand for another platform a moment later.
    return str(obtain(store, name, pull, platform, registry, quiet=quiet).id)


def _is_container(store: Store, name: str) -> bool:
    try:
        store.containers.resolve(name)
    except NotFoundError:
        return False
    return True


def _is_nameless(store: Store, name: str) -> bool:
    """Whether it is an image that was made here, and has no name that could be pulled."""
    try:
        store.image(name)
    except NotFoundError:
        try:
            store.stored_images.resolve(name)
        except NotFoundError:
            return False
        return True
    return False
