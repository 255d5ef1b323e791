"""The names of systems and architectures, and which of them mean the same."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEMS: Final = frozenset(
    {
        "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js",
        "linux", "netbsd", "openbsd", "plan9", "solaris", "windows", "zos",
    }
)  # fmt: skip
ARCHITECTURES: Final = frozenset(
    {
        "386", "amd64", "arm", "arm64", "arm64be", "armbe", "loong64", "mips", "mips64",
        "mips64le", "mipsle", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x",
        "sparc", "sparc64", "wasm",
    }
)  # fmt: skip
_ALIASES: Final[Mapping[str, tuple[str, str | None]]] = MappingProxyType(
    {
        "i386": ("386", ""),
        "x86_64": ("amd64", None),
        "x86-64": ("amd64", None),
        "aarch64": ("arm64", None),
        "armhf": ("arm", "v7"),
        "armel": ("arm", "v6"),
    }
)
_VARIANTS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("amd64", "v1"): "",
        ("arm64", "8"): "",
        ("arm64", "v8"): "",
        ("arm64", "v8.0"): "",
        ("arm64", "9"): "v9",
        ("arm64", "9.0"): "v9",
        ("arm64", "v9.0"): "v9",
        ("arm", ""): "v7",
        ("arm", "5"): "v5",
        ("arm", "6"): "v6",
        ("arm", "7"): "v7",
        ("arm", "8"): "v8",
    }
)
MACHINES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "i486": ("386", ""),
        "i586": ("386", ""),
        "i686": ("386", ""),
        "aarch64_be": ("arm64be", ""),
        "armv5l": ("arm", "v5"),
        "armv5tel": ("arm", "v5"),
        "armv5tejl": ("arm", "v5"),
        "armv6l": ("arm", "v6"),
        "armv7l": ("arm", "v7"),
        "armv7hl": ("arm", "v7"),
        "armv8l": ("arm", "v8"),
        "loongarch64": ("loong64", ""),
    }
)


def normalize_system(name: str) -> str:
    """The one name of an operating system."""
    name = name.lower()
    return "darwin" if name == "macos" else name


def normalize_architecture(architecture: str, variant: str) -> tuple[str, str]:
    """The one pair of names of an architecture and variant."""
    architecture, variant = architecture.lower(), variant.lower()
    architecture, fixed = _ALIASES.get(architecture, (architecture, None))
    if fixed is not None:
        return architecture, fixed
    return architecture, _VARIANTS.get((architecture, variant), variant)
