"""Facts about this boot, this process and others: what makes a record of today stale tomorrow."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Final

CAP_SETGID: Final = 6
CAP_SETUID: Final = 7
CAP_CHOWN: Final = 0
CAP_SYS_ADMIN: Final = 21

_FIRST_PID_NAMESPACE: Final = 0xEFFFFFFC


@cache
def boot_id() -> str:
    """The random name of this boot; it differs after every restart of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@cache
def kernel_version() -> tuple[int, int]:
    """The kernel's release as two numbers; distributions may have added newer parts to it."""
    match = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def mount_namespace() -> int:
    """The inode number of this process's mount namespace."""
    return os.stat("/proc/self/ns/mnt").st_ino


def seen_mount_namespaces() -> frozenset[int] | None:
    """The mount namespaces that have processes, by inode number; None where not all can be seen.

    A user without privilege sees its own: no other enters what it can mount in.
    """
    private = os.geteuid() != 0 and in_initial_user_namespace()
    if os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE:
        return None
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found.add(os.stat(f"/proc/{name}/ns/mnt").st_ino)
            except (FileNotFoundError, ProcessLookupError):
                continue
            except PermissionError:
                # The first process is where the kernel's own threads are.
                if name != "1" and not private:
                    return None
    return frozenset(found)


def process_start(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None when there is no such process.

    A pid is used again by another process; pid and start together are not.
    """
    try:
        data = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command, in parentheses, may itself hold spaces and parentheses.
    return int(data[data.rindex(b")") + 2 :].split()[19])


def is_alive(pid: int, start: int) -> bool:
    """Whether the process that had this pid and start is still there."""
    return process_start(pid) == start


def command_line(pid: int) -> str:
    """What a process was started with, at most 200 characters; empty when it cannot be read."""
    try:
        data = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return data.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")[:200]


def has_capability(capability: int) -> bool:
    """Whether this process may use a capability, within its own user namespace."""
    for line in Path("/proc/self/status").read_bytes().splitlines():
        if line.startswith(b"CapEff:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False


def in_initial_user_namespace() -> bool:
    """Whether user ids here are those of the machine itself."""
    try:
        mapping = Path("/proc/self/uid_map").read_text().split()
    except OSError:
        return True
    return mapping == ["0", "0", "4294967295"]
