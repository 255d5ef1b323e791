"""OCI runtimes: the programs that make a container of a bundle, found on the PATH."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from orlop.errors import RuntimeFailedError, RuntimeNotFoundError

RUNTIMES: Final = ("crun", "runc")
"""What is looked for, in this order: crun starts in half the time."""

_UNIFIED: Final = "/sys/fs/cgroup/unified"
_TIMEOUT: Final = 10
"""Seconds that a runtime has to say what it is."""
_VERSION: Final = re.compile(r"version:? (\S+)")
_SPEC: Final = re.compile(r"^spec: (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """An OCI runtime.

    Attributes:
        path: The program.
    """

    path: Path

    @property
    def name(self) -> str:
        """The program's name, such as `crun`."""
        return self.path.name

    @property
    def version(self) -> RuntimeVersion:
        """What it says of itself; asked once.

        Raises:
            RuntimeFailedError: It fails, or does not answer.
        """
        return _version(self.path)

    @property
    def features(self) -> dict[str, object] | None:
        """What it can do, as the runtime-spec writes it; None where it does not say. Asked once.

        Spec: runtime-spec v1.1, features.md.
        """
        return _features(self.path)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Directories that it must not see: crun refuses cgroups of both versions at once."""
        if self.name.startswith("runc"):
            return ()
        try:
            with open(f"{_UNIFIED}/cgroup.controllers", "rb") as file:
                return (_UNIFIED,) if file.read(1) else ()
        except OSError:
            return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeVersion:
    """What a runtime says of itself.

    Attributes:
        text: Its version; empty where it does not say.
        spec: The version of the runtime-spec that it follows; likewise.
    """

    text: str
    spec: str


def find_runtime(name: str | os.PathLike[str] | None = None) -> Runtime:
    """Find an OCI runtime on this machine.

    Args:
        name: A program on the PATH, or a path; the first of `RUNTIMES` that is there where None.

    Raises:
        RuntimeNotFoundError: There is none, or not this one.
    """
    if name is not None:
        found = _which(os.fspath(name))
        if found is None:
            raise RuntimeNotFoundError(
                f"there is no OCI runtime {os.fspath(name)!r}",
                hint="install the package, such as crun or runc (Debian, Ubuntu, Fedora)",
            )
        return Runtime(path=found)
    for each in RUNTIMES:
        found = _which(each)
        if found is not None:
            return Runtime(path=found)
    raise RuntimeNotFoundError(
        f"no OCI runtime is installed: neither {' nor '.join(RUNTIMES)} is on the PATH",
        hint="install the package crun or runc (Debian, Ubuntu, Fedora)",
    )


def _which(name: str) -> Path | None:
    import shutil

    # Debian has runc among the programs for root, which others do not look through.
    places = os.environ.get("PATH", os.defpath)
    found = shutil.which(name, path=f"{places}{os.pathsep}/usr/sbin{os.pathsep}/sbin")
    return None if found is None else Path(os.path.abspath(found))


@cache
def _version(path: Path) -> RuntimeVersion:
    said = _ask(path, "--version")
    if said is None:
        raise RuntimeFailedError(f"{path} does not say its version", status=1, said="")
    version, spec = _VERSION.search(said), _SPEC.search(said)
    return RuntimeVersion(text=version[1] if version else "", spec=spec[1] if spec else "")


@cache
def _features(path: Path) -> dict[str, object] | None:
    import json

    said = _ask(path, "features")
    try:
        found = json.loads(said or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _ask(path: Path, word: str) -> str | None:
    """What a runtime prints; None where it fails."""
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - the runtime that the user has
            [path, word], stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=_TIMEOUT,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
