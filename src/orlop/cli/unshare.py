"""`orlop unshare`."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated

from orlop.cli.failure import UsageError
from orlop.cli.parameter import Parameter
from orlop.cli.settings import ADDITIONAL_STORES, DRIVER, ROOT, RUN, current, find_places
from orlop.errors import NotFoundError

_SHELL = "/bin/sh"


def unshare(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True, takes_rest=True)],
) -> None:
    """Run a command in a user namespace, as its root, with this user's subordinate IDs.

    There, layers are mounted and written to with the owners that they have, and `orlop` works on
    the same store. What is mounted inside is seen inside alone, and goes with the command.

    Args:
        command: The command and its arguments; a shell if there is none.
    """
    from orlop._sys.enter import enter_user_namespace
    from orlop._sys.process import CAP_SETUID, has_capability

    if has_capability(CAP_SETUID):
        raise UsageError(
            "root has all IDs already", hint="run the command as it is, without `orlop unshare`"
        )
    words = command or (os.environ.get("SHELL") or _SHELL,)
    program = shutil.which(words[0])
    if program is None:
        raise NotFoundError(f"there is no program {words[0]!r}")
    environment = {**os.environ, **_settings()}
    enter_user_namespace()
    sys.stdout.flush()
    os.execve(program, words, environment)  # noqa: S606 - the command that the user gives


def _settings() -> dict[str, str]:
    """The environment in which another `orlop` works on the same store."""
    places, settings = find_places(), current.get()
    others = [os.path.abspath(each) for each in settings.additional]
    found = {ROOT: str(places.root), RUN: str(places.run)}
    if settings.driver is not None:
        found[DRIVER] = settings.driver
    if others:
        found[ADDITIONAL_STORES] = os.pathsep.join(others)
    return found
