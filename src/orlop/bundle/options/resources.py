"""What a container may use of the machine."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError
from orlop.filters.quantity import read_size

if TYPE_CHECKING:
    from orlop.bundle.options.option import SpecOption
    from orlop.spec.runtime import RuntimeSpec

CPU_PERIOD: Final = 100_000
"""Microseconds in which a container may use its quota of processor time."""
MIN_CPU_QUOTA: Final = 1000
"""Microseconds that the kernel gives at least."""
MIN_SHARES: Final = 2
MAX_SHARES: Final = 262_144
MIN_MEMORY: Final = 1 << 20
"""Bytes: with less no runtime gets as far as to start the process."""

_CPUS: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(m?)", re.ASCII)
_BINARY: Final = re.compile(r"[0-9.]+[kKMGTP]i?", re.ASCII)


def memory_limit(limit: int | str, *, swap: int | str | None = None) -> SpecOption:
    """Limit the memory; the kernel ends processes that want more.

    Args:
        limit: Bytes; or a text such as `256M`, as `read_memory` takes it.
        swap: Memory and swap together; nothing is said of swap where None, since many machines
            cannot limit it.

    Raises:
        InvalidError: It is no size, or too small to start anything.
    """
    memory: dict[str, object] = {"limit": _size(limit)}
    if swap is not None:
        memory["swap"] = _size(swap)

    def apply(spec: RuntimeSpec) -> None:
        spec.section("linux", "resources", "memory").update(memory)

    return apply


def cpu_limit(cpus: float | str) -> SpecOption:
    """Limit the processor time to that of so many processors.

    Args:
        cpus: Such as `0.5`, or `500m` for thousandths.

    Raises:
        InvalidError: It is no such number.
    """
    milli = read_cpus(str(cpus))
    quota = max(MIN_CPU_QUOTA, milli * CPU_PERIOD // 1000)
    shares = min(MAX_SHARES, max(MIN_SHARES, milli * 1024 // 1000))

    def apply(spec: RuntimeSpec) -> None:
        spec.section("linux", "resources", "cpu").update(
            {"quota": quota, "period": CPU_PERIOD, "shares": shares}
        )

    return apply


def pids_limit(limit: int) -> SpecOption:
    """Limit how many processes and threads there are at once; -1 for any number.

    Raises:
        InvalidError: It is neither that nor positive.
    """
    if limit < 1 and limit != -1:
        raise InvalidError(f"{limit} processes are too few to run one")

    def apply(spec: RuntimeSpec) -> None:
        if limit == -1:
            spec.remove("linux", "resources", "pids")  # Runtimes do not take it alike.
        else:
            spec.section("linux", "resources", "pids")["limit"] = limit

    return apply


def read_memory(text: str) -> int:
    """Bytes: `256M`, `256Mi` and `256MiB` count in 1024, `256MB` in thousands.

    Raises:
        InvalidError: It is no size.
    """
    if _BINARY.fullmatch(text):
        text = text.removesuffix("i") + "iB"
    found = read_size(text)
    if found is None:
        raise InvalidError(f"{text[:40]!r} is no size", hint="such as 256M or 2GiB")
    return found


def read_cpus(text: str) -> int:
    """Thousandths of a processor: `0.5` and `500m` are both 500.

    Raises:
        InvalidError: It is no such number, or none at all of a processor.
    """
    found = _CPUS.fullmatch(text)
    milli = 0 if found is None else int(Decimal(found[1]) * (1 if found[2] else 1000))
    if milli < 1:
        raise InvalidError(f"{text[:40]!r} is no number of processors", hint="such as 0.5 or 500m")
    return milli


def _size(value: int | str) -> int:
    size = read_memory(value) if isinstance(value, str) else value
    if size < MIN_MEMORY:
        raise InvalidError(
            f"{size} bytes of memory are too few to start anything",
            hint="give a size with its unit, such as 256M",
        )
    return size
