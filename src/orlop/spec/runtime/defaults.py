"""The configuration that every container begins with.

Spec: runtime-spec v1.0.2, config.md, config-linux.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.spec.runtime.document import RuntimeSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

SPEC_VERSION: Final = "1.0.2"
"""What every runtime understands: crun before 1.9 refuses configurations of 1.2 and later."""
DEFAULT_CAPABILITIES: Final = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
)  # fmt: skip
"""The capabilities that Docker gives, which most images are made for."""
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITY_SETS: Final = ("bounding", "effective", "permitted")
"""The sets that hold a container's capabilities; none are inherited or ambient."""
DEFAULT_OPEN_FILES: Final = 1024
MAX_OPEN_FILES: Final = 524_288
MASKED_PATHS: Final = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS: Final = (
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
)  # fmt: skip

_NAMESPACES: Final = ("pid", "ipc", "uts", "mount", "network", "cgroup")
_MOUNTS: Final = (
    ("/proc", "proc", "proc", "nosuid noexec nodev"),
    ("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
    ("/dev/pts", "devpts", "devpts",
     "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5"),
    ("/dev/shm", "tmpfs", "shm", "nosuid noexec nodev mode=1777 size=65536k"),  # noqa: S108 - the container's
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid noexec nodev ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro"),
)  # fmt: skip


def default_spec(
    *,
    capabilities: Iterable[str] = DEFAULT_CAPABILITIES,
    open_files: int = MAX_OPEN_FILES,
) -> RuntimeSpec:
    """A configuration that any runtime takes, and that gives a container little.

    It has namespaces of its own for everything but users, no privilege to gain, no terminal and a
    shell to run.

    Args:
        capabilities: Those that it gets; whoever makes it may not have all of them.
        open_files: The hard limit of open files; whoever makes it may not have more.

    Spec: runtime-spec v1.0.2, config.md, "Configuration Schema Example".
    """
    wanted = sorted(capabilities)
    return RuntimeSpec(
        {
            "ociVersion": SPEC_VERSION,
            "process": {
                "terminal": False,
                "user": {"uid": 0, "gid": 0},
                "args": ["sh"],
                "env": [f"PATH={DEFAULT_PATH}"],
                "cwd": "/",
                "capabilities": {name: list(wanted) for name in CAPABILITY_SETS},
                "rlimits": [
                    {
                        "type": "RLIMIT_NOFILE",
                        "hard": open_files,
                        "soft": min(open_files, DEFAULT_OPEN_FILES),
                    }
                ],
                "noNewPrivileges": True,
            },
            "root": {"path": "rootfs", "readonly": False},
            "hostname": "container",
            "mounts": [
                {
                    "destination": place, "type": type, "source": source,
                    "options": options.split(),
                }
                for place, type, source, options in _MOUNTS  # noqa: A001
            ],
            "linux": {
                "resources": {"devices": [{"allow": False, "access": "rwm"}]},
                "namespaces": [{"type": kind} for kind in _NAMESPACES],
                "maskedPaths": list(MASKED_PATHS),
                "readonlyPaths": list(READONLY_PATHS),
            },
        }
    )  # fmt: skip
