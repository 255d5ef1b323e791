"""Platforms: what an image runs on, and which of several images suits a machine best.

Texts are `os[(version+feature…)]/architecture[/variant]` or an architecture alone, which is taken
to be Linux. Nothing here looks at the machine: `Platform.of_machine` takes what it said.

Spec: image-spec v1.1, image-index.md, "platform" and "Platform Variants"; names, normalisation and
preference are those of containerd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from orlop.errors import InvalidPlatformError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_PLATFORM_LENGTH: Final = 512

_PART: Final = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_OS: Final = re.compile(
    r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?", re.ASCII
)
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})", re.ASCII)
_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9_.-]", re.ASCII)

_ARCHITECTURES: Final = frozenset(
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
_MACHINES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
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
_WINDOWS_STABLE: Final = (20348, 26100)
"""Builds of Windows Server that later hosts can run: 2022 and 2025."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """An operating system and processor; kept as written, compared after `normalized`.

    Attributes:
        os: As Go's GOOS names it, such as `linux`.
        architecture: As Go's GOARCH names it, such as `amd64`.
        variant: Of the processor, such as `v7`; empty for the usual one.
        os_version: Such as `10.0.17763.1066`; empty where it does not matter.
        os_features: What the system must offer, such as `win32k`.
        extra: Fields of a document that are unknown here; no part of the value.
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a platform as people write it, normalised.

        Args:
            text: Such as `linux/arm64`, `linux/arm/v7`, `windows(10.0.17763)/amd64` or `aarch64`.

        Raises:
            InvalidPlatformError: The text is no platform, or names no architecture.
        """
        if len(text) > MAX_PLATFORM_LENGTH:
            raise InvalidPlatformError(
                f"platform {text[:50]!r}… is longer than {MAX_PLATFORM_LENGTH} characters"
            )
        system, *rest = text.split("/")
        if not rest:
            return cls._of_architecture(text)
        if len(rest) > 2 or not all(_PART.fullmatch(part) for part in rest):
            raise InvalidPlatformError(f"{text!r} is no platform", hint=_HINT)
        name, version, features = _parse_system(system, text)
        variant = rest[1] if len(rest) == 2 else ""
        return cls(
            os=name,
            architecture=rest[0],
            variant=variant,
            os_version=version,
            os_features=features,
        ).normalized()

    @classmethod
    def of_machine(cls, machine: str) -> Self:
        """The Linux platform of a machine.

        Args:
            machine: What `os.uname().machine` says, such as `x86_64`.

        Raises:
            InvalidPlatformError: No such machine is known.
        """
        architecture, variant = _MACHINES.get(machine, (machine, ""))
        return cls._of_architecture(architecture, variant)

    @classmethod
    def _of_architecture(cls, architecture: str, variant: str = "") -> Self:
        platform = cls(os="linux", architecture=architecture, variant=variant).normalized()
        if platform.architecture not in _ARCHITECTURES:
            raise InvalidPlatformError(f"{architecture!r} is no known architecture", hint=_HINT)
        return platform

    def normalized(self) -> Self:
        """This platform in the one form that equal platforms share."""
        architecture, variant = _normalize(self.architecture.lower(), self.variant.lower())
        system = self.os.lower()
        return replace(
            self,
            os="darwin" if system == "macos" else system,
            architecture=architecture,
            variant=variant,
            os_features=tuple(sorted(set(self.os_features))),
        )

    def __str__(self) -> str:
        if not self.os:
            return "unknown"
        features = (feature for feature in self.os_features if feature)
        options = "+".join(_escape(part) for part in (self.os_version, *features))
        system = f"{self.os}({options})" if options else self.os
        return "/".join(part for part in (system, self.architecture, self.variant) if part)


_HINT: Final = "write os/architecture[/variant], such as linux/arm64"


def _parse_system(system: str, text: str) -> tuple[str, str, tuple[str, ...]]:
    match = _OS.fullmatch(system)
    if match is None:
        raise InvalidPlatformError(f"{text!r} is no platform", hint=_HINT)
    features = match[3].split("+")[1:] if match[3] else []
    return match[1], _unescape(match[2] or ""), tuple(_unescape(part) for part in features)


def _unescape(text: str) -> str:
    if "%" not in text:
        return text
    if _ESCAPE.sub("", text).find("%") >= 0:
        raise InvalidPlatformError(f"{text!r} holds a stray percent sign", hint="write %25")
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    try:
        return raw.encode("latin-1").decode()
    except UnicodeDecodeError as error:
        raise InvalidPlatformError(f"{text!r} is not UTF-8 when decoded") from error


def _escape(text: str) -> str:
    return _UNPLAIN.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def _normalize(architecture: str, variant: str) -> tuple[str, str]:
    architecture, fixed = _ALIASES.get(architecture, (architecture, None))
    if fixed is not None:
        return architecture, fixed
    if architecture == "386":
        return architecture, variant
    return architecture, _VARIANTS.get((architecture, variant), variant)


def ordered(platform: Platform) -> Sequence[Platform]:
    """The platforms whose images this one runs, normalised, best first.

    The first is the platform itself. amd64 runs lower levels and 386, arm runs older arm, arm64
    runs older arm64 and then 32-bit arm.
    """
    platform = platform.normalized()
    return [replace(platform, architecture=a, variant=v) for a, v in _runnable(platform)]


def _runnable(platform: Platform) -> Iterator[tuple[str, str]]:
    architecture, variant = platform.architecture, platform.variant
    yield architecture, variant
    if architecture == "amd64":
        yield from (("amd64", _level(n)) for n in range(_number(variant) - 1, 0, -1))
        yield "386", ""
    elif architecture == "arm":
        yield from (("arm", f"v{n}") for n in range(_number(variant) - 1, 4, -1))
    elif architecture == "arm64":
        yield from (("arm64", older) for older in _older_arm64(variant))
        if variant[:2] in {"", "v8", "v9"}:
            yield from (("arm", f"v{n}") for n in range(8, 4, -1))


def _level(number: int) -> str:
    return "" if number == 1 else f"v{number}"


def _number(variant: str) -> int:
    """The level of `v3`, and 0 for what is no level; more than nine levels there are not."""
    digits = variant.removeprefix("v")
    return int(digits) if len(digits) == 1 and digits in "123456789" else 0


def _older_arm64(variant: str) -> Iterator[str]:
    """The revisions of arm64 that come before; v9.n holds all of v8.(n+5)."""
    major, _, minor = variant.removeprefix("v").partition(".")
    if major not in {"8", "9"} or minor not in _MINORS:
        return
    revision = _MINORS.index(minor)
    if major == "9":
        yield from (f"v9.{n}" if n else "v9" for n in range(revision - 1, -1, -1))
        revision = min(revision + 5, 9) + 1
    yield from (f"v8.{n}" if n else "" for n in range(revision - 1, -1, -1))


_MINORS: Final = ("", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def choose(wanted: Platform, candidates: Sequence[Platform | None]) -> int | None:
    """The position of the candidate that suits best, or None where none does.

    Of equals the one with most features wins, then the first. A candidate of no platform comes
    after all that match: whoever takes it must look at the platform in its config.

    Args:
        wanted: What the images are to run on.
        candidates: The platforms that an index gives, in its order; None where it gives none.

    Spec: image-spec v1.1, image-index.md: "If multiple manifests match a client or runtime's
    requirements, the first matching entry SHOULD be used."
    """
    known = [(at, c.normalized()) for at, c in enumerate(candidates) if c is not None]
    for runnable in ordered(wanted):
        matching = [pair for pair in known if _matches(runnable, pair[1])]
        if matching:
            return max(matching, key=lambda pair: len(pair[1].os_features))[0]
    return next((at for at, candidate in enumerate(candidates) if candidate is None), None)


def matches(wanted: Platform, candidate: Platform) -> bool:
    """Whether images of `candidate` run on `wanted`, be it as the second choice."""
    return choose(wanted, (candidate,)) is not None


def _matches(wanted: Platform, candidate: Platform) -> bool:
    if (wanted.os, wanted.architecture, wanted.variant) != (
        candidate.os,
        candidate.architecture,
        candidate.variant,
    ):
        return False
    missing = set(candidate.os_features).difference(wanted.os_features)
    if wanted.os == "windows":
        # Every Windows that runs containers has it, and few say so.
        missing.discard("win32k")
        return not missing and _windows_matches(wanted.os_version, candidate.os_version)
    return not missing


def _windows_matches(host: str, container: str) -> bool:
    """Whether a Windows host runs a container: the same build, or a stable one not too old."""
    ours, theirs = _windows_version(host), _windows_version(container)
    if ours is None or theirs is None:
        return True
    if ours[:2] != theirs[:2] or ours[2] < _WINDOWS_STABLE[0]:
        return ours == theirs
    oldest = max((b for b in _WINDOWS_STABLE if b < ours[2]), default=_WINDOWS_STABLE[0])
    return oldest <= theirs[2] <= ours[2]


def _windows_version(text: str) -> tuple[int, int, int] | None:
    parts = text.split(".")[:3]
    if len(parts) < 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    major, minor, build = (int(part[:9]) for part in parts)
    return major, minor, build
