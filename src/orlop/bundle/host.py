"""What this process has, and so what a container that it starts can get."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

CAPABILITIES: Final = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID",
    "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
    "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
    "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip
"""The kernel's capabilities, in the order of their numbers."""


@dataclass(frozen=True)
class Host:
    """This process, as whoever starts containers; ask for one that is made up in tests.

    Attributes:
        bounding: The capabilities of its bounding set, by number.
    """

    bounding: int

    @classmethod
    def current(cls) -> Host:
        """This process as it is now."""
        for line in (
            Path("/proc/self/status").read_text(encoding="ascii", errors="replace").split("\n")
        ):
            if line.startswith("CapBnd:"):
                return cls(int(line.split()[1], 16))
        return cls(0)

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """The capabilities that a container can get, by name."""
        return frozenset(
            name for number, name in enumerate(CAPABILITIES) if self.bounding >> number & 1
        )

    @staticmethod
    def hard_limit(kind: str) -> int | None:
        """The hard limit of a kind such as `RLIMIT_NOFILE`; None where there is none."""
        number = getattr(resource, kind, None)
        if number is None:
            return None
        hard = resource.getrlimit(number)[1]
        return None if hard == resource.RLIM_INFINITY else hard
