"""What a run left whose process was killed: found by its lock and its record, and removed.

The container itself has ended with the process; see `orlop._sys.spawn`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop._sys.cgroups import remove_groups
from orlop._sys.handle import Fd
from orlop.bundle.targets import forget_targets
from orlop.errors import InUseError, NotFoundError, OrlopError, UnsupportedError
from orlop.metadata import Owner
from orlop.runtime.bundle import remove_state
from orlop.runtime.find import Runtime
from orlop.storage.stored.running import running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import Container

RUN_FLAG: Final = "orlop.run"
"""The flag of a container that goes when it has ended: the process that runs it."""
_TARGETS: Final = "targets"


def note_targets(state: Path, paths: Sequence[str]) -> None:
    """Note the places to mount at that a run is about to make, in case that it is killed."""
    (state / _TARGETS).write_text(json.dumps(paths), encoding="ascii")


def clear(storage: Storage, state: Path, id: str) -> None:  # noqa: A002
    """Remove what a run kept that was killed, and the container's control groups.

    So are the places that it made to mount at, where they are empty still. The caller has the lock.

    Raises:
        InUseError: The container is mounted in another way.
        OSError: It could not be removed.
    """
    if not state.exists():
        return
    try:
        program = Path(os.fsdecode((state / "program").read_bytes()))
        if (state / "root" / id).exists():
            remove_state(Runtime(path=program), state, id)
    except (OSError, OrlopError):
        pass  # The runtime itself is gone, or was killed early: what it kept goes all the same.
    remove_groups(id)
    made = _noted_targets(state)
    if made:
        with (
            storage.containers.mount(id, read_only=False) as rootfs,
            Fd(os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root,
        ):
            forget_targets(root.fileno(), made)
    shutil.rmtree(state)


def _noted_targets(state: Path) -> list[str]:
    try:
        found = json.loads((state / _TARGETS).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return []  # None were made; or it was killed before that.
    return [each for each in found if _is_path(each)] if isinstance(found, list) else []


def _is_path(found: object) -> bool:
    """Whether that can be a path: it may be anything where a disk was full, or damaged."""
    try:
        return isinstance(found, str) and b"\0" not in os.fsencode(found)
    except UnicodeEncodeError:
        return False


def settle(storage: Storage, key: str) -> None:
    """Remove what a killed run left in a container that stays, before somebody looks at it.

    Nothing is done while it runs, nor what this process cannot do.

    Raises:
        NotFoundError: There is no such container.
    """
    container = storage.containers.get(key)
    directory = storage.places.run_directory("container", container.id)
    if not (directory / "runtime").exists() or RUN_FLAG in container.flags:
        return
    try:
        with running(directory, container.id):
            clear(storage, directory / "runtime", container.id)
    except (InUseError, UnsupportedError, OSError):
        return


def remove_left(storage: Storage) -> list[str]:
    """Remove what killed runs left, and the containers that were to go; the IDs of these.

    Raises:
        OSError: Something could not be removed.
    """
    removed = []
    for container in storage.containers.list():
        flag = container.flags.get(RUN_FLAG)
        directory = storage.places.run_directory("container", container.id)
        state = directory / "runtime"
        if flag is None and not state.exists():
            continue
        if flag is not None and _is_live(flag, container):
            continue
        try:
            if directory.exists():
                with running(directory, container.id):
                    clear(storage, state, container.id)
            if flag is not None:
                storage.containers.delete(container.id, force=True)
                removed.append(container.id)
        except (InUseError, NotFoundError):
            continue  # Somebody runs it, or was faster.
    return removed


def left_containers(storage: Storage) -> list[Container]:
    """The containers that were to go with the process that ran them, which was killed."""
    found = (
        (each, each.flags[RUN_FLAG]) for each in storage.containers.list() if RUN_FLAG in each.flags
    )
    return [container for container, flag in found if not _is_live(flag, container)]


def _is_live(flag: object, container: Container) -> bool:
    """Whether the process that runs a container is there."""
    if not isinstance(flag, dict):
        return False
    try:
        owner = Owner(**flag)
    except TypeError:
        return False
    return owner.is_live(container.created_at_ns, time.time_ns())
