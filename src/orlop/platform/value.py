"""Platforms as values and as texts.

    specifier ::= os ["(" version? ("+" feature)* ")"] "/" architecture ["/" variant]
                | architecture | os

Spec: image-spec v1.1, image-index.md, "platform"; the specifiers of containerd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from orlop.errors import InvalidPlatformError
from orlop.platform.names import (
    ARCHITECTURES,
    MACHINES,
    SYSTEMS,
    normalize_architecture,
    normalize_system,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PLATFORM_LENGTH: Final = 512

_HINT: Final = "write os/architecture[/variant], such as linux/arm64"
_PART: Final = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_OS: Final = re.compile(
    r"([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?", re.ASCII
)
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9_.-]", re.ASCII)


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
    def parse(cls, text: str, local: Platform | None = None) -> Self:
        """Read a platform as people write it, normalised.

        Args:
            text: Such as `linux/arm64`, `linux/arm/v7`, `windows(10.0.17763)/amd64` or `aarch64`.
            local: What the text leaves out; without it that is Linux, and no architecture.

        Raises:
            InvalidPlatformError: The text is no platform, or leaves out too much.
        """
        if len(text) > MAX_PLATFORM_LENGTH:
            raise InvalidPlatformError(
                f"platform {text[:50]!r}… is longer than {MAX_PLATFORM_LENGTH} characters"
            )
        first, *rest = text.split("/")
        if not rest and normalize_architecture(first, "")[0] in ARCHITECTURES:
            return cls(os=local.os if local else "linux", architecture=first).normalized()
        if len(rest) > 2 or not all(_PART.fullmatch(part) for part in rest):
            raise InvalidPlatformError(f"{text!r} is no platform", hint=_HINT)
        system, version, features = _parse_system(first, text)
        architecture, variant = (*rest, "")[:2] if rest else _complete(system, local)
        return cls(
            os=system,
            architecture=architecture,
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
        architecture, variant = MACHINES.get(machine, (machine, ""))
        found = cls(os="linux", architecture=architecture, variant=variant).normalized()
        if found.architecture not in ARCHITECTURES:
            raise InvalidPlatformError(f"machine {machine[:100]!r} is of no known architecture")
        return found

    def normalized(self) -> Self:
        """This platform in the one form that equal platforms share."""
        architecture, variant = normalize_architecture(self.architecture, self.variant)
        return replace(
            self,
            os=normalize_system(self.os),
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


def _parse_system(system: str, text: str) -> tuple[str, str, tuple[str, ...]]:
    match = _OS.fullmatch(system)
    if match is None:
        raise InvalidPlatformError(f"{text!r} is no platform", hint=_HINT)
    features = match[3].split("+")[1:] if match[3] else []
    return match[1], _unescape(match[2] or ""), tuple(_unescape(part) for part in features)


def _complete(system: str, local: Platform | None) -> tuple[str, str]:
    """Architecture and variant for a text that names a system alone."""
    if normalize_system(system) not in SYSTEMS:
        raise InvalidPlatformError(f"{system!r} is no known system or architecture", hint=_HINT)
    if local is None:
        raise InvalidPlatformError(f"{system!r} names no architecture", hint=_HINT)
    return local.architecture, local.variant


def _unescape(text: str) -> str:
    raw = text.encode()
    if raw.count(b"%") != len(_ESCAPE.findall(raw)):
        raise InvalidPlatformError(f"{text!r} holds a stray percent sign", hint="write %25")
    try:
        return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), raw).decode()
    except UnicodeDecodeError as error:
        raise InvalidPlatformError(f"{text!r} is not UTF-8 when decoded") from error


def _escape(text: str) -> str:
    return _UNPLAIN.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)
