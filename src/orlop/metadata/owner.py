"""Processes that own something, and how long they count."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

from orlop._sys.process import boot_id, is_alive, process_start

FOREIGN_LEASE_TIME: Final = 24 * 3600 * 10**9
"""Nanoseconds that a lease lives whose owner cannot be seen: it is in another PID namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process, told from every other that has had or will have its pid.

    Attributes:
        pid: Its pid.
        start: When it began, in clock ticks since boot.
        pid_namespace: The namespace in which it has this pid, by inode number.
        boot_id: The boot in which it runs.
    """

    pid: int
    start: int
    pid_namespace: int
    boot_id: str

    @classmethod
    def current(cls) -> Self:
        """This process."""
        return cls(**_identity(os.getpid()))

    def is_live(self, created_at_ns: int, now_ns: int, expires_at_ns: int | None = None) -> bool:
        """Whether the process is there; one in another PID namespace is believed for a while.

        Args:
            created_at_ns: When it was recorded.
            now_ns: The time now.
            expires_at_ns: Until when one that cannot be seen is believed to be there.
        """
        if self.boot_id != boot_id():
            return False
        if self == Owner.current():
            return True
        if self.pid_namespace == _pid_namespace():
            return is_alive(self.pid, self.start)
        return now_ns < (expires_at_ns or created_at_ns + FOREIGN_LEASE_TIME)


NOBODY: Final = Owner(pid=0, start=0, pid_namespace=0, boot_id="")
"""What is recorded where there is no owner."""


@lru_cache(maxsize=1)
def _identity(pid: int) -> dict[str, Any]:
    """What tells this process from others; a forked child has another pid, and another start."""
    return {
        "pid": pid,
        "start": process_start(pid) or 0,
        "pid_namespace": _pid_namespace(),
        "boot_id": boot_id(),
    }


def _pid_namespace() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
