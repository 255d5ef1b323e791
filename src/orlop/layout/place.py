"""Local places that images are read from: how they are written, and what they say.

    oci:DIR[:TAG]                    an OCI image layout
    oci-archive:FILE[:TAG]           a tar of one
    docker-archive:FILE[:NAME:TAG]   what `docker save` writes
    dir:DIR                          one image as plain files, as skopeo's `dir:`

`@N` in the selector's stead picks the image at position N, counted from 0. The path `-` of an
archive means a stream: standard input or output for the command, a file object for the library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orlop.errors import InvalidReferenceError

TRANSPORTS: Final = ("oci", "oci-archive", "docker-archive", "dir")

STREAM: Final = "-"
"""The path of an archive that comes or goes as a stream."""

_POSITION: Final = re.compile(r"@(0|[1-9][0-9]{0,8})", re.ASCII)
# The grammar of ref.name, and beyond it what Docker allows in a tag: a leading or doubled "_".
_SELECTOR: Final = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9._:@+-]*)(?:/[A-Za-z0-9_][A-Za-z0-9._:@+-]*)*", re.ASCII
)
_MAX_SELECTOR_LENGTH: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an image lies on this machine.

    Attributes:
        transport: One of `TRANSPORTS`.
        path: The directory or file.
        selector: Which of the images there: a tag, a name or `@N`; None for the only one.

    Raises:
        ValueError: There is no such transport.
    """

    transport: str
    path: Path
    selector: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no reader is for."""
        if self.transport not in TRANSPORTS:
            raise ValueError(f"no transport {self.transport!r}")

    def __str__(self) -> str:
        text = f"{self.transport}:{self.path}"
        return f"{text}:{self.selector}" if self.selector else text


def parse_place(text: str) -> Place:
    """Read `TRANSPORT:PATH[:SELECTOR]`.

    The path ends at its first colon, as in skopeo; only that of `dir:` may hold colons.

    Raises:
        InvalidReferenceError: The transport is not one of `TRANSPORTS`, the path is empty, or
            the selector is no tag, name or position.
    """
    transport, colon, rest = text.partition(":")
    if not colon or transport not in TRANSPORTS:
        raise InvalidReferenceError(
            f"{text!r} is no local place",
            hint=f"begin with one of {', '.join(TRANSPORTS)}, and a colon",
        )
    path, _, selector = (rest, "", "") if transport == "dir" else rest.partition(":")
    if not path or "\0" in path:
        raise InvalidReferenceError(f"{text!r} names no path", hint=f"write {transport}:PATH")
    if selector and position_of(selector) is None and not is_selector(selector):
        raise InvalidReferenceError(f"{selector!r} is no tag, name or position of an image")
    return Place(transport=transport, path=Path(path), selector=selector or None)


def is_stream(place: Place) -> bool:
    """Whether the place is an archive that comes or goes as a stream."""
    return str(place.path) == STREAM and place.transport.endswith("-archive")


def position_of(selector: str) -> int | None:
    """The N of the selector `@N`; None for any other."""
    match = _POSITION.fullmatch(selector)
    return int(match[1]) if match else None


def is_selector(text: str) -> bool:
    """Whether a name in a place may choose an image: no path, no blank, no escape sequence.

    Spec: image-spec v1.1, annotations.md, "org.opencontainers.image.ref.name".
    """
    return len(text) <= _MAX_SELECTOR_LENGTH and _SELECTOR.fullmatch(text) is not None
