"""Paths in archives: normalised, bounded, and never outside of the root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.tar.header import MalformedError, TooLargeError, UnsafeNameError

if TYPE_CHECKING:
    from orlop.tar.limits import TarLimits

WHITEOUT_PREFIX: Final = b".wh."
_SHOWN_SIZE: Final = 100


def normalise(name: bytes, limits: TarLimits, *, whiteouts: bool = False) -> bytes:
    """The path that a name means, relative to the root; `b""` is the root itself.

    Absolute names are taken from the root; empty components and `.` say nothing.

    Args:
        name: The name.
        limits: Bounds of it.
        whiteouts: Whether it may be that of a whiteout, which is longer than what it hides.

    Raises:
        UnsafeNameError: A component is `..`.
        MalformedError: The name is empty.
        TooLargeError: The path or a component of it is too long.
    """
    path = name[:-1] if name[-1:] == b"/" else name
    if path[:2] == b"./":
        path = path[2:]
    if (
        not path
        or path[0] in b"./"
        or path[-1] in b"/"
        or len(path) > limits.max_name_size
        or len(path) > limits.max_path_size
        or b"/." in path
        or b"//" in path
    ):
        return _normalise_slowly(name, limits, whiteouts=whiteouts)
    return path


def _normalise_slowly(name: bytes, limits: TarLimits, *, whiteouts: bool) -> bytes:
    if not name:
        raise MalformedError("the name is empty")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise UnsafeNameError(f"{shown(name)} has '..' in it")
    path = b"/".join(parts)
    if len(path) > limits.max_path_size:
        raise TooLargeError("the path is too long", "max_path_size")
    if whiteouts and parts:
        parts[-1] = parts[-1].removeprefix(WHITEOUT_PREFIX)
    if max(map(len, parts), default=0) > limits.max_name_size:
        raise TooLargeError("a component of the path is too long", "max_name_size")
    return path


def shown(name: bytes) -> str:
    """The name as text for messages, cut and with nothing that a terminal would obey."""
    text = ascii(name[:_SHOWN_SIZE].decode("utf-8", "surrogateescape"))
    return f"{text}…" if len(name) > _SHOWN_SIZE else text
