"""The directory of a bundle: made, filled and removed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from orlop.bundle.names import DIR_ROOTFS, FILE_NOTE, FILE_SPEC
from orlop.errors import AlreadyExistsError, InvalidDocumentError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orlop.idmap import IdMapping
    from orlop.spec.runtime import RuntimeSpec

SPEC_MODE = 0o600
"""Of `config.json`: the environment may hold secrets."""
_MAX_NOTE_SIZE = 1 << 20
DIRECTORY_MODE = 0o711
"""Of a bundle: a container's root, which is nobody on the machine, has to pass it."""


def require_free(path: Path) -> None:
    """Succeed if a directory is missing or empty.

    Raises:
        AlreadyExistsError: There is something in it.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise _taken(path)


def make_bundle_directory(path: Path, id: str) -> Path:  # noqa: A002
    """Make a bundle's directory with an empty root directory in it; those above it as well.

    The note that says whose it is comes first, and belongs to whoever was first.

    Args:
        path: The bundle.
        id: Its container.

    Raises:
        AlreadyExistsError: There is something in it.
        OSError: It cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    require_free(path)
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    try:
        with open(path / FILE_NOTE, "x") as file:
            json.dump({"container": id, "targets": []}, file)
    except FileExistsError:
        raise _taken(path) from None
    path.chmod(DIRECTORY_MODE)
    rootfs = path / DIR_ROOTFS
    rootfs.mkdir(mode=0o755)
    rootfs.chmod(0o755)
    return rootfs


def _taken(path: Path) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{path} is there already, and not empty",
        hint="name another directory, or remove the bundle there: orlop bundle rm",
    )


def write_spec(path: Path, spec: RuntimeSpec, *, indent: int | None = 2) -> None:
    """Write a bundle's configuration, which is there whole or not at all.

    Args:
        path: The bundle.
        spec: What is written.
        indent: Spaces a level, for people; None for programs alone, which is quicker.
    """
    temporary = path / f".{FILE_SPEC}.{os.getpid()}"
    data = json.dumps(spec.document, ensure_ascii=False, allow_nan=False, indent=indent) + "\n"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, SPEC_MODE)
    with open(fd, "wb") as file:
        file.write(data.encode())
    os.rename(temporary, path / FILE_SPEC)


def write_targets(path: Path, id: str, made: Sequence[str]) -> None:  # noqa: A002
    """Note which places to mount at were made."""
    note = {"container": id, "targets": list(made)}
    (path / FILE_NOTE).write_text(json.dumps(note))


def read_targets(path: Path) -> list[str]:
    """Which places to mount at were made; none where that is not known."""
    found = _note(path).get("targets")
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def owner_of(path: Path) -> str | None:
    """The container whose bundle is in a directory; None where there is none."""
    found = _note(path).get("container")
    return found if isinstance(found, str) else None


def _note(path: Path) -> dict[str, object]:
    try:
        with open(path / FILE_NOTE, "rb") as file:
            found = json.loads(file.read(_MAX_NOTE_SIZE))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def root_path(path: Path) -> Path:
    """The root directory that a bundle's configuration names.

    Raises:
        InvalidDocumentError: It is no configuration, or names none.
        OSError: It could not be read.
    """
    from orlop.spec import MAX_DOCUMENT_SIZE, decode_json

    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # It may be a pipe by now.
    with open(os.open(path / FILE_SPEC, flags), "rb") as file:
        document = decode_json(file.read(MAX_DOCUMENT_SIZE + 1), what=str(path / FILE_SPEC))
    root = document.get("root")
    found = root.get("path") if isinstance(root, dict) else None
    if not isinstance(found, str) or not found:
        raise InvalidDocumentError(f"{path / FILE_SPEC} names no root directory", where="$.root")
    return path / found


def has_spec(path: Path) -> bool:
    """Whether a bundle was finished."""
    return (path / FILE_SPEC).exists()


def remove_bundle_directory(path: Path, id: str, *, tree: bool) -> None:  # noqa: A002
    """Remove what a bundle is made of; what else is in its directory stays, and that with it.

    Args:
        path: The bundle.
        id: Its container; nothing of another one's bundle is touched.
        tree: Remove all that is in its root directory, too; else it is empty.

    Raises:
        OSError: It cannot be removed; EBUSY where something is mounted in it.
    """
    from orlop.storage.staging import discard

    owner, rootfs = owner_of(path), path / DIR_ROOTFS
    if owner == id:
        for file in (path / FILE_SPEC, *path.glob(f".{FILE_SPEC}.*")):
            file.unlink(missing_ok=True)
        if tree:
            discard(rootfs)
        else:
            _remove_empty(rootfs)
        (path / FILE_NOTE).unlink()
    if owner == id or (owner is None and not has_spec(path)):
        _remove_empty(path)


def _remove_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:
        return  # It is not there, or somebody has put something into it.


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
