"""Running containers of a store: those that are there, and those made of an image for it.

A container that runs has a directory that goes with the next boot of the machine:

    RUN/containers/<store>/<id>/
      running       locked by whoever runs it
      runtime/      gone when it has ended
        bundle/     config.json; the root directory is where the container is mounted
        program     the path of the runtime
        targets     the places that were made to mount at, as JSON, in a container that stays
        …           see `orlop.runtime.bundle`

One that is to be removed afterwards says so in its record, with the process that runs it, so that
what a killed process left is found, in this boot or the next; see `orlop.runtime.left`.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop._sys.cgroups import group_path, may_limit, remove_groups
from orlop._sys.handle import Fd
from orlop._sys.process import command_line, in_initial_user_namespace
from orlop.bundle.directory import require_enterable, write_spec
from orlop.bundle.finish import finish_spec, start_spec
from orlop.bundle.options import cgroups_path, hostname, image_config, user_namespace
from orlop.bundle.targets import forget_targets, make_targets, missing_targets, mount_targets
from orlop.errors import (
    AmbiguousError,
    InUseError,
    InvalidError,
    NotFoundError,
    UnsupportedError,
)
from orlop.metadata import Containers, Owner
from orlop.runtime.bundle import run_bundle
from orlop.runtime.find import find_runtime
from orlop.runtime.left import RUN_FLAG, clear, note_targets
from orlop.runtime.options import RunOptions, RunResult, require_words
from orlop.runtime.terminal import require_terminal
from orlop.storage.lookup import find_name
from orlop.storage.naming import new_id
from orlop.storage.shown import rooted_in
from orlop.storage.stored.running import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from orlop.bundle.options import SpecOption
    from orlop.runtime.find import Runtime
    from orlop.spec.config import ImageConfig
    from orlop.spec.runtime import RuntimeSpec
    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import Container

_HOSTNAME_LENGTH: Final = 12
_SHOWN: Final = 12
_LOOK: Final = 0.5
"""Seconds that a command which looks at a container holds its lock at most, as a rule."""
_TTY_GROUP: Final = 5
"""The group that terminals have in every distribution."""


def run(
    storage: Storage,
    name: str,
    args: Sequence[str] = (),
    options: RunOptions | None = None,
) -> RunResult:
    """Run a container, and return how it ended.

    Args:
        storage: The store.
        name: The container: its exact ID or name. Else the image that one is made of for this; or
            else the container that a prefix of an ID means.
        args: What follows the image's entrypoint, instead of its own command.
        options: How it is run.

    Raises:
        NotFoundError: There is no such image or container, or something in it is missing.
        AlreadyExistsError: The name that it is to have is taken.
        InUseError: The container is running already.
        RuntimeNotFoundError: No OCI runtime is installed.
        RuntimeFailedError: The container's command was not started.
        RunTimeoutError: It ran for too long.
        InvalidError: An option is not what it should be.
        UnsupportedError: This machine cannot, or this user has no right to.
        OSError: Something could not be read or written.
        TypeError: `args` is one text.
    """
    options = options or RunOptions()
    require_words(args, "args")
    runtime = find_runtime(options.runtime)
    if options.terminal:
        streams = options.streams()
        require_terminal((streams.stdin or 0, streams.stdout or 1, 2))
    with _container(storage, name, options) as (container, made):
        one = _Run(storage, container, runtime, options, fresh=made)
        try:
            return one.run(args)
        except BaseException:
            if made and not one.begun:
                _remove(storage, container.id)
            raise


def is_container(storage: Storage, name: str) -> bool:
    """Whether this is the exact ID or name of a container."""
    try:
        found = storage.containers.get(name)
    except (NotFoundError, AmbiguousError):
        return False
    return name == found.id or name in found.names


@contextmanager
def _container(
    storage: Storage, name: str, options: RunOptions
) -> Iterator[tuple[Container, bool]]:
    """The container to run, and whether it was made for this; it is removed at the end if asked."""
    containers = storage.containers
    if is_container(storage, name):
        _require_no_image(storage, name)
        yield _existing(storage, name, options), False
        return
    if options.name is not None:
        _require_no_image(storage, options.name)
    id = new_id()  # noqa: A001
    flags = {RUN_FLAG: asdict(Owner.current())} if options.rm else {}
    names = () if options.name is None else (options.name,)
    made = True
    with ExitStack() as stack:
        if options.rm:
            stack.push(partial(_removed, storage, id))
        try:
            found = containers.create(name, id=id, names=names, flags=flags, volatile=options.rm)
        except NotFoundError as missing:
            try:
                found, made = _existing(storage, name, options), False
            except NotFoundError:
                raise missing from None
        yield found, made


def _require_no_image(storage: Storage, name: str) -> None:
    """Succeed unless what is the name of a container, or is to be, is that of an image as well."""
    with storage.database.read() as tx:
        row = find_name(tx, name)
    if row is None:
        return
    if not is_container(storage, name):
        raise InvalidError(
            f"{name!r} is image {row.name}, and would be a container as well",
            hint="call the container otherwise",
        )
    found = storage.containers.get(name)
    raise AmbiguousError(
        f"{name!r} is container {found.id[:_SHOWN]} and image {row.name}",
        candidates=(found.id, row.name),
    )


def _existing(storage: Storage, name: str, options: RunOptions) -> Container:
    found = storage.containers.get(name)
    if options.name is not None:
        raise InvalidError(
            f"container {name} has its names already",
            hint="give it another one by `orlop container name add`",
        )
    return found


def _removed(
    storage: Storage,
    id: str,  # noqa: A002
    kind: type[BaseException] | None,
    error: BaseException | None,  # noqa: ARG001
    traceback: TracebackType | None,  # noqa: ARG001
) -> None:
    """Remove a container at the end of its block, or leave it to a collection.

    An interrupt may have come in the moment in which something was opened or locked, which is in
    use by this very process then.
    """
    try:
        _remove(storage, id)
    except (InUseError, OSError):
        if kind is None or issubclass(kind, Exception):
            raise


def _remove(storage: Storage, id: str) -> None:  # noqa: A002
    try:
        storage.containers.delete(id, force=True)
    except NotFoundError:
        pass


class _Run:
    """One container that is to run; `fresh` where it was made for this.

    Attributes:
        begun: Whether the runtime was started, or was about to be.
    """

    def __init__(
        self,
        storage: Storage,
        container: Container,
        runtime: Runtime,
        options: RunOptions,
        *,
        fresh: bool,
    ) -> None:
        self._storage = storage
        self._container = container
        self._runtime = runtime
        self._options = options
        self._fresh = fresh
        self._directory = storage.containers.run_directory(container.id)
        self._state = self._directory / "runtime"
        self.begun = False

    def run(self, args: Sequence[str]) -> RunResult:
        """Run it."""
        with (
            running(self._directory, self._container.id, timeout=_LOOK),
            self._made_state(),
            self._storage.containers.mount(self._container.id, read_only=False) as rootfs,
            self._bundle(rootfs, args) as bundle,
        ):
            self.begun = True
            ended = run_bundle(
                self._runtime,
                bundle,
                self._container.id,
                state=self._state,
                streams=self._options.streams(),
                forward_signals=self._options.forward_signals,
                timeout=self._options.timeout,
            )
        return RunResult(
            exit_code=ended.exit_code,
            stdout=ended.stdout,
            stderr=ended.stderr,
            container=None if RUN_FLAG in self._container.flags else self._container.id,
        )

    @contextmanager
    def _made_state(self) -> Iterator[None]:
        clear(self._storage, self._state, self._container.id)
        if not self._fresh:
            self._require_idle()
        # Whoever has mapped IDs passes through to the bundle; what it is not to read has no rights.
        mode = 0o711 if self._container.id_mapping is not None else 0o700
        for each in (self._state, self._state / "bundle"):
            each.mkdir(mode=mode)
        self._directory.chmod(mode)
        (self._state / "program").write_bytes(os.fsencode(self._runtime.path))
        try:
            yield
        finally:
            with suppress(OSError):  # What is left of it is found as long as there is a state.
                remove_groups(self._container.id)
                shutil.rmtree(self._state)

    def _require_idle(self) -> None:
        """Succeed unless somebody else's runtime has it running, as a bundle."""
        pids = rooted_in(self._storage.places.layer(self._container.layer))
        if pids:
            raise InUseError(
                f"container {self._container.id} is the root of process {pids[0]}"
                f" ({command_line(pids[0])})",
                users=[f"process {pid}" for pid in pids],
                hint="end that first, or make another container of its image",
            )

    @contextmanager
    def _bundle(self, rootfs: Path, args: Sequence[str]) -> Iterator[Path]:
        """The bundle; places to mount at in a container that stays are gone at the end."""
        bundle, made = self._state / "bundle", list[str]()
        if self._container.id_mapping is not None:
            require_enterable(rootfs.parent, self._container.id_mapping)
        spec = start_spec(self._spec_options(args))
        if not spec.texts("process", "args"):
            raise InvalidError(
                f"the image of container {self._container.id} says no command",
                hint="say one after the image's name",
            )
        spec.section("root")["path"] = str(rootfs)
        with Fd(os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
            finish_spec(spec, root.fileno())
            _require_mapped(spec)
            try:
                if RUN_FLAG not in self._container.flags:
                    targets = mount_targets(spec)
                    made = missing_targets(root.fileno(), targets)
                    note_targets(self._state, made)
                    make_targets(root.fileno(), targets, self._owner)
                write_spec(bundle, spec, indent=None)
                yield bundle
            finally:
                forget_targets(root.fileno(), made)

    @property
    def _owner(self) -> tuple[int, int] | None:
        """Who the container's root is on the machine; None where it is this process."""
        mapping = self._container.id_mapping
        return None if mapping is None else mapping.to_host(0, 0)

    def _spec_options(self, args: Sequence[str]) -> list[SpecOption]:
        config, mapping = self._config(), self._container.id_mapping
        found = [] if config is None else [image_config(config)]
        found.append(hostname(self._container.id[:_HOSTNAME_LENGTH]))
        if mapping is not None:
            found.append(user_namespace(mapping))
        if in_initial_user_namespace():
            found.append(cgroups_path(group_path(self._container.id)))
        return [*found, *self._options.spec_options(args), _without_root]

    def _config(self) -> ImageConfig | None:
        """The config of the image that it was made from, if any."""
        from orlop.spec.config import ImageConfig

        with self._storage.database.read() as tx:
            row = Containers(tx).get(self._container.id)
        digest = None if row is None else row.config_digest
        if digest is None:
            return None
        for each in (self._storage, *self._storage.additional):
            info = each.content.stat(digest)
            if info is not None:
                return ImageConfig.decode(each.content.read(digest, info.size))
        raise NotFoundError(
            f"the config {digest} of container {self._container.id} is not stored",
            hint="pull its image again",
        )


def _without_root(spec: RuntimeSpec) -> None:
    """Leave away what the kernel refuses to the root of a user namespace, where this is one.

    A group that is none here cannot have terminals, and only the owner of a network has its `/sys`.
    """
    if in_initial_user_namespace():
        return
    limited = {"memory", "cpu", "pids"} & spec.section("linux", "resources").keys()
    if limited and not may_limit(limited):
        raise UnsupportedError(
            f"no limit of {', '.join(sorted(limited))} without control groups, and none are this"
            " user's",
            hint="run it as root, or without limits, or where such groups are delegated",
        )
    found = spec.mount_at("/dev/pts")
    options = None if found is None else found.get("options")
    if found is not None and isinstance(options, list) and not _is_mapped(_TTY_GROUP, "gid"):
        found["options"] = [each for each in options if each != f"gid={_TTY_GROUP}"]
    found = spec.mount_at("/sys")
    if found is not None and found.get("type") == "sysfs" and spec.namespace("network") is None:
        options = ["rbind", "nosuid", "noexec", "nodev", "ro"]
        found.update(type="none", source="/sys", options=options)


def _require_mapped(spec: RuntimeSpec) -> None:
    """Succeed unless the user is none in the user namespace that this process is in."""
    if in_initial_user_namespace() or spec.namespace("user") is not None:
        return
    user = spec.section("process", "user")
    for kind in ("uid", "gid"):
        number = user.get(kind)
        if isinstance(number, int) and not _is_mapped(number, kind):
            raise UnsupportedError(
                f"the container's {kind} {number} is none that this user has",
                hint="let it run as 0, or have more in /etc/subuid and /etc/subgid",
            )


def _is_mapped(number: int, kind: str) -> bool:
    lines = Path(f"/proc/self/{kind}_map").read_text(encoding="ascii").splitlines()
    ranges = [tuple(map(int, line.split())) for line in lines]
    return any(first <= number < first + size for first, _, size in ranges)
