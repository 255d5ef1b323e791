"""The directory of a bundle: made, filled and removed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from orlop.bundle.names import DIR_ROOTFS, FILE_SPEC, FILE_TARGETS
from orlop.errors import AlreadyExistsError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orlop.idmap import IdMapping
    from orlop.spec.runtime import RuntimeSpec

SPEC_MODE = 0o600
"""Of `config.json`: the environment may hold secrets."""
DIRECTORY_MODE = 0o711
"""Of a bundle: a container's root, which is nobody on the machine, has to pass it."""


def make_bundle_directory(path: Path) -> Path:
    """Make a bundle's directory with an empty root directory in it; those above it as well.

    Raises:
        AlreadyExistsError: There is something in it.
        OSError: It cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=DIRECTORY_MODE)
    except FileExistsError:
        if not path.is_dir() or any(path.iterdir()):
            raise AlreadyExistsError(
                f"{path} is there already, and not empty",
                hint="name another directory, or remove the bundle there: orlop bundle rm",
            ) from None
    path.chmod(DIRECTORY_MODE)
    rootfs = path / DIR_ROOTFS
    rootfs.mkdir(mode=0o755)
    rootfs.chmod(0o755)
    return rootfs


def write_spec(path: Path, spec: RuntimeSpec) -> None:
    """Write a bundle's configuration, which is there whole or not at all."""
    temporary = path / f".{FILE_SPEC}.{os.getpid()}"
    data = json.dumps(spec.document, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, SPEC_MODE)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(data)
    os.rename(temporary, path / FILE_SPEC)


def write_targets(path: Path, made: Sequence[str]) -> None:
    """Note which places to mount at were made."""
    (path / FILE_TARGETS).write_text(json.dumps(made))


def read_targets(path: Path) -> list[str]:
    """Which places to mount at were made; none where that is not known."""
    try:
        found = json.loads((path / FILE_TARGETS).read_bytes())
    except (OSError, ValueError):
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def has_spec(path: Path) -> bool:
    """Whether a bundle was finished."""
    return (path / FILE_SPEC).exists()


def remove_bundle_directory(path: Path, *, tree: bool) -> None:
    """Remove what a bundle is made of; what else is in its directory stays, and that with it.

    Args:
        path: The bundle.
        tree: Remove all that is in its root directory, too; else it is empty.

    Raises:
        OSError: It cannot be removed; EBUSY where something is mounted in it.
    """
    from orlop.storage.staging import discard

    for file in (path / FILE_SPEC, path / FILE_TARGETS, *path.glob(f".{FILE_SPEC}.*")):
        file.unlink(missing_ok=True)
    rootfs = path / DIR_ROOTFS
    if tree:
        discard(rootfs)
    elif rootfs.is_dir():
        try:
            rootfs.rmdir()
        except OSError:
            return  # Somebody has put something there.
    try:
        path.rmdir()
    except OSError:
        return


def is_enterable(path: Path, mapping: IdMapping) -> bool:
    """Whether the root of a mapped container can go to a directory from the machine's root."""
    return _closed(path, mapping) is None


def require_enterable(path: Path, mapping: IdMapping) -> None:
    """Succeed if the root of a mapped container can go to a directory.

    Raises:
        UnsupportedError: It cannot; the message says where it is stopped.
    """
    closed = _closed(path, mapping)
    if closed is not None:
        raise UnsupportedError(
            f"the container's root, who is user {mapping.to_host(0, 0)[0]}, cannot enter {closed}",
            hint=f"chmod o+x {closed}, or choose another directory",
        )


def _closed(path: Path, mapping: IdMapping) -> Path | None:
    """The first directory on the way that the mapped root may not enter."""
    uid, gid = mapping.to_host(0, 0)
    for each in (*reversed(path.parents), path):
        found = each.stat()
        bit = 0o001
        if found.st_uid == uid:
            bit = 0o100
        elif found.st_gid == gid:
            bit = 0o010
        if uid != 0 and not found.st_mode & bit:
            return each
    return None
