"""Entering a user namespace of one's own, where a user without privilege is root.

Only the programs `newuidmap` and `newgidmap`, which are set-user-id, can map the subordinate ids of
a user without privilege; they are the only ones that are run. The namespace is made by a child, as
in `orlop._sys.userns`, so that this process runs them while it is still outside.

Spec: user_namespaces(7); newuidmap(1).
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd, call
from orlop._sys.process import CAP_SETUID, has_capability
from orlop._sys.subids import subordinate_ids
from orlop._sys.userns import CLONE_NEWUSER, make_namespace, write_maps
from orlop.errors import NotFoundError, UnsupportedError
from orlop.idmap import IdMapping, IdRange
from orlop.idranges import ranges_of

if TYPE_CHECKING:
    from collections.abc import Sequence

CLONE_NEWNS: Final = 0x20000
MAX_SAID: Final = 500
"""Bytes of what `newuidmap` says that an error repeats."""


def enter_user_namespace(mapping: IdMapping | None = None) -> IdMapping:
    """Move this process into new user and mount namespaces, as their root; return the mapping.

    It cannot come back, and must have a single thread. Its mounts are seen by nobody else; mounts
    made outside later are seen here. What the process has open stays open. Where id 0 is mapped,
    user and group become 0.

    Args:
        mapping: The host side are ids of this process's present namespace. None for that of
            `own_mapping`, which root has not: for root a mapping must be given.

    Raises:
        UnsupportedError: There are other threads; namespaces are forbidden here; these ids may not
            be mapped, or only by programs that are not installed.
        LimitExceededError: The mapping is too long for the kernel.
        InvalidError: A line of `/etc/subuid` or `/etc/subgid` is broken.
        ValueError: Root gave no mapping.
        OSError: The kernel failed otherwise.
    """
    privileged = has_capability(CAP_SETUID)
    if mapping is None:
        if privileged:
            raise ValueError("a process that may map all ids has to say which")
        mapping = own_mapping()
    _check_alone()
    with _namespace(mapping, privileged=privileged) as namespace:
        call("setns", namespace.fileno(), CLONE_NEWUSER)
    call("unshare", CLONE_NEWNS)
    _become_root(mapping, privileged=privileged)
    return mapping


def own_mapping() -> IdMapping:
    """The mapping that makes this user root, with its subordinate ids from 1 on.

    The user's own id alone where it has no subordinate ones.

    Raises:
        InvalidError: A line of `/etc/subuid` or `/etc/subgid` is broken.
        LimitExceededError: There are too many ranges.
        OSError: A file cannot be read.
    """
    uid = (IdRange(container=0, host=os.geteuid(), size=1),)
    gid = (IdRange(container=0, host=os.getegid(), size=1),)
    try:
        more = subordinate_ids(str(os.geteuid()))
    except NotFoundError:
        return IdMapping(uids=uid, gids=gid)
    return IdMapping(
        uids=uid + ranges_of(more.uids, container=1), gids=gid + ranges_of(more.gids, container=1)
    )


def _check_alone() -> None:
    count = len(os.listdir("/proc/self/task"))
    if count > 1:
        raise UnsupportedError(
            f"a process with {count} threads cannot enter a user namespace",
            hint="enter it before threads are started",
        )


def _namespace(mapping: IdMapping, *, privileged: bool) -> Fd:
    if privileged or _is_own(mapping):
        return make_namespace(lambda pid: write_maps(pid, mapping))
    programs = [_program(name) for name in ("newuidmap", "newgidmap")]
    return make_namespace(lambda pid: _run_programs(programs, pid, mapping))


def _is_own(mapping: IdMapping) -> bool:
    """Whether the process may map this without help: its own user and group, nothing else."""
    own = os.geteuid(), os.getegid()
    sides = (mapping.uids, mapping.gids)
    return all(
        [(part.host, part.size) for part in side] == [(number, 1)]
        for side, number in zip(sides, own, strict=True)
    )


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UnsupportedError(
            f"subordinate ids cannot be mapped: the program {name} is not installed",
            hint="install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora)",
        )
    return found


def _run_programs(programs: Sequence[str], pid: int, mapping: IdMapping) -> None:
    for program, ranges in zip(programs, (mapping.uids, mapping.gids), strict=True):
        numbers = [
            str(number) for part in ranges for number in (part.container, part.host, part.size)
        ]
        _run([program, str(pid), *numbers])


def _run(command: list[str]) -> None:
    """Run a program, without the signal mask of this moment, and see it succeed."""
    with Fd(os.memfd_create("stderr", os.MFD_CLOEXEC)) as said:
        actions = [(os.POSIX_SPAWN_DUP2, said.fileno(), number) for number in (1, 2)]
        child = os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsigmask=())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            text = os.pread(said.fileno(), MAX_SAID, 0).decode(errors="backslashreplace")
            raise UnsupportedError(
                f"{command[0]} refused to map ids: {' '.join(text.split()) or f'exit {status}'}",
                hint="the ids must be those of /etc/subuid and /etc/subgid, and the program "
                "set-user-id root, without no_new_privs",
            )


def _become_root(mapping: IdMapping, *, privileged: bool) -> None:
    if mapping.uids[0].container or mapping.gids[0].container:
        return
    if privileged:
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
