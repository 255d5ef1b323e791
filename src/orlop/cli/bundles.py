"""`orlop bundle`: directories that OCI runtimes run containers from."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from orlop.cli.failure import UsageError, for_each
from orlop.cli.objects import parse_mapping, short
from orlop.cli.parameter import Parameter
from orlop.cli.progress import display
from orlop.cli.registry import DEFAULT_FLAGS, RegistryFlags
from orlop.cli.render import Format, clean, human_age, print_json, print_table
from orlop.cli.settings import (
    open_existing,
    open_for_reading,
    open_store,
    refuse_empty,
    store_exists,
)
from orlop.errors import NotFoundError

if TYPE_CHECKING:
    from orlop.bundle import BundleRecord, Bundles, SpecOption

_Texts = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]


def create(
    image: str,
    directory: Annotated[str, Parameter(validator=refuse_empty)],
    /,
    *command: str,
    entrypoint: str | None = None,
    workdir: Annotated[str | None, Parameter(alias="-w")] = None,
    env: Annotated[_Texts, Parameter(alias="-e")] = (),
    unset_env: _Texts = (),
    user: Annotated[str | None, Parameter(alias="-u")] = None,
    hostname: str | None = None,
    tty: Annotated[bool, Parameter(alias="-t", negative="")] = False,
    memory: Annotated[str | None, Parameter(alias="-m")] = None,
    cpus: str | None = None,
    pids: Annotated[int | None, Parameter(alias="--pids-limit")] = None,
    network: Literal["none", "host"] = "none",
    volume: Annotated[_Texts, Parameter(alias="-v")] = (),
    tmpfs: _Texts = (),
    device: _Texts = (),
    read_only: Annotated[bool, Parameter(negative="")] = False,
    cap_add: _Texts = (),
    cap_drop: _Texts = (),
    allow_gain: Annotated[bool, Parameter(negative="")] = False,
    seccomp: str | None = None,
    rlimit: _Texts = (),
    annotation: _Texts = (),
    cgroup: str | None = None,
    uidmap: _Texts = (),
    gidmap: _Texts = (),
    rootless: Annotated[bool, Parameter(negative="")] = False,
    uncompressed: Annotated[bool, Parameter(negative="")] = False,
    max_layers: int | None = None,
    pull: Literal["missing", "always", "never"] = "missing",
    platform: str | None = None,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    registry: RegistryFlags = DEFAULT_FLAGS,
) -> None:
    """Make a bundle of an image, and print the ID of its container.

    Any OCI runtime runs it: `runc run --bundle DIRECTORY NAME`. Its files are mounted until
    `orlop bundle rm DIRECTORY`, and what was written to them can be committed.

    Args:
        image: Its name or ID; or what `orlop pull` takes, of an image that is not here.
        directory: The bundle, which is missing or empty.
        command: What is run instead of the image's command, after --.
        entrypoint: A program to run instead of the image's entrypoint and command.
        workdir: Where it starts.
        env: NAME=VALUE, a variable of its environment; may be given several times.
        unset_env: A variable that it is not to have; likewise.
        user: USER[:GROUP], names or numbers, who runs it.
        hostname: What the container calls itself.
        tty: Give it a terminal.
        memory: How much memory it may use, such as 256M.
        cpus: How many processors it may use, such as 0.5.
        pids: How many processes it may have.
        network: none for one of its own, without a way out; host for the machine's.
        volume: SOURCE:TARGET[:ro], a directory or file of the machine that it sees; likewise.
        tmpfs: A place for a filesystem in memory; likewise.
        device: SOURCE[:TARGET], a device of the machine; likewise.
        read_only: Let it write to nothing but what is mounted in it.
        cap_add: A capability more than it has by default; likewise.
        cap_drop: A capability fewer, or ALL; likewise.
        allow_gain: Let set-user-id programs work.
        seccomp: A file with the filter of its system calls, as the runtime-spec has it.
        rlimit: NAME=SOFT[:HARD], such as nofile=1024; likewise.
        annotation: NAME=VALUE, a note on the container; likewise.
        cgroup: The control group that it is put into.
        uidmap: CONTAINER:HOST:SIZE, users that its own are on the machine; likewise.
        gidmap: Groups likewise; one of both options alone is for both.
        rootless: Ask for nothing that a user without privilege cannot have.
        uncompressed: Write the files out instead of mounting them.
        max_layers: How many layers the image may have; 256 if it is not said.
        pull: When the image is pulled.
        platform: Which image of several is pulled.
        quiet: No progress, and no notes.
        registry: How registries are reached.
    """
    from orlop.bundle import (
        MAX_LAYERS,
        OverlayBundler,
        PullRules,
        UncompressedBundler,
    )
    from orlop.bundle import options as option
    from orlop.storage.naming import new_id

    chosen: list[SpecOption] = []
    mapping = parse_mapping(uidmap, gidmap)
    if rootless and mapping is not None:
        raise UsageError("--rootless excludes --uidmap and --gidmap")
    if entrypoint is not None:
        chosen.append(option.entrypoint(entrypoint))
    if command:
        chosen.append(option.command(*command))
    if workdir is not None:
        chosen.append(option.working_dir(workdir))
    if network == "host":
        chosen.append(option.host_network())
    if mapping is not None:
        chosen.append(option.user_namespace(mapping))
    if rootless:
        chosen.append(option.rootless())
    if memory is not None:
        chosen.append(option.memory_limit(memory))
    if cpus is not None:
        chosen.append(option.cpu_limit(cpus))
    if pids is not None:
        chosen.append(option.pids_limit(pids))
    if read_only:
        chosen.append(option.read_only())
    if user is not None:
        chosen.append(option.user(user))
    if hostname is not None:
        chosen.append(option.hostname(hostname))
    if tty:
        chosen.append(option.terminal())
    if allow_gain:
        chosen.append(option.privileges(gain=True))
    if seccomp is not None:
        chosen.append(option.seccomp(_read_profile(seccomp)))
    if cgroup is not None:
        chosen.append(option.cgroups_path(cgroup))
    chosen += [
        option.unset_env(*unset_env),
        option.env([_pair(each, "--env") for each in env]),
        option.drop_capabilities(*cap_drop),
        option.add_capabilities(*cap_add),
        option.annotate(dict(_split(each, "--annotation") for each in annotation)),
        *(_volume(each) for each in volume),
        *(option.tmpfs(each) for each in tmpfs),
        *(_device(each) for each in device),
        *(_rlimit(each) for each in rlimit),
    ]
    kind = UncompressedBundler if uncompressed else OverlayBundler
    with open_store() as store, display(quiet=quiet) as bars:
        rules = PullRules(
            policy=pull,
            platform=platform,
            source=registry.options_for(image),
            progress=bars.update if bars else None,
        )
        limit = MAX_LAYERS if max_layers is None else max_layers
        bundler = kind(store, rules=rules, max_layers=limit)
        made = bundler.bundle(image, new_id(), *chosen, path=directory)
    if not quiet:
        for note in made.notes:
            print(note, file=sys.stderr)
    print(made.id)


def list_bundles(
    *,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """List the bundles.

    A bundle is ready, running, incomplete, or unmounted since the machine was started again: then
    `orlop bundle mount` makes it ready.

    Args:
        quiet: Print directories alone.
        format: How to print: table or json.
    """
    from orlop.bundle import Bundles

    found: list[tuple[BundleRecord, str]] = []
    if store_exists():
        with open_for_reading() as store:
            bundles = Bundles(store.storage)
            found = [(each, "" if quiet else bundles.state(each)) for each in bundles.list()]
    if quiet:
        for record, _ in found:
            print(record.path)
    elif format == "json":
        print_json([_document(record, state) for record, state in found])
    else:
        now = time.time_ns()
        rows = [
            [
                str(record.path), state, record.kind, short(record.id),
                short(record.image.partition(":")[2]), human_age(record.created_at_ns, now),
            ]
            for record, state in found
        ]  # fmt: skip
        print_table(rows, ["bundle", "state", "kind", "container", "image", "created"])


def mount(directory: str, /, *more: str) -> int:
    """Mount the files of bundles again, and print where they are.

    A restart of the machine takes mounts away, and leaves what the containers wrote. A bundle that
    is mounted stays as it is.

    Args:
        directory: A bundle, or the ID of its container.
        more: Further ones.
    """
    from orlop.bundle import Bundles

    with open_existing() as store:
        bundles = Bundles(store.storage)
        return for_each((directory, *more), lambda key: print(bundles.mount(bundles.get(key))))


def remove(
    directory: str,
    /,
    *more: str,
    force: Annotated[bool, Parameter(alias="-f", negative="")] = False,
) -> int:
    """Remove bundles with all that their containers wrote, and print their directories.

    What else lies in such a directory stays. One that a container runs in is never removed. Where
    the container itself is gone already, what orlop left in the directory is removed.

    Args:
        directory: A bundle, or the ID of its container.
        more: Further ones.
        force: Also while files in it are open, or it is mounted by others.
    """
    from orlop.bundle import Bundles

    with open_existing() as store:
        bundles = Bundles(store.storage)

        def take(key: str) -> None:
            try:
                record = bundles.get(key)
            except NotFoundError:
                if _remove_orphan(bundles, Path(os.path.abspath(key))):
                    return
                raise
            bundles.remove(record, force=force)
            print(record.path)

        return for_each((directory, *more), take)


def _remove_orphan(bundles: Bundles, path: Path) -> bool:
    """Remove a bundle whose container is gone, and say so; whether it is one."""
    container = bundles.remove_orphan(path)
    if container is None:
        return False
    left = f"; what else is in {path} stays" if path.exists() else ""
    print(clean(f"container {short(container)} was removed before{left}"), file=sys.stderr)
    print(path)
    return True


def _document(record: BundleRecord, state: str) -> dict[str, object]:
    return {
        "path": str(record.path),
        "state": state,
        "kind": record.kind,
        "container": record.id,
        "image": record.image,
        "created_at_ns": record.created_at_ns,
    }


def _split(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"{option} {text[:40]!r} is not NAME=VALUE")
    return name, value


def _pair(text: str, option: str) -> str:
    return "=".join(_split(text, option))


def _volume(text: str) -> SpecOption:
    from orlop.bundle import options

    parts = text.split(":")
    if len(parts) not in {2, 3} or parts[2:] not in ([], ["ro"], ["rw"]) or not all(parts):
        raise UsageError(f"{text[:80]!r} is no volume", hint="write SOURCE:TARGET or …:ro")
    return options.bind(parts[0], parts[1], read_only=parts[2:] == ["ro"])


def _device(text: str) -> SpecOption:
    from orlop.bundle import options

    source, _, target = text.partition(":")
    return options.device(source, target or None)


def _rlimit(text: str) -> SpecOption:
    from orlop.bundle import options

    name, value = _split(text, "--rlimit")
    soft, _, hard = value.partition(":")
    if not all(each.isascii() and each.isdigit() for each in (soft, hard or "0")):
        raise UsageError(f"{text[:40]!r} is no limit", hint="such as nofile=1024:4096")
    return options.rlimit(name, int(soft), int(hard) if hard else None)


def _read_profile(path: str) -> dict[str, object]:
    from orlop.spec import MAX_DOCUMENT_SIZE, decode_json

    with open(path, "rb") as file:
        return decode_json(file.read(MAX_DOCUMENT_SIZE + 1), what=f"seccomp profile {path}")
