"""What people may put into an image config: each value checked when it is given.

What an image has already is kept whatever it is; what is put in must be something that every
runtime understands.

Spec: image-spec v1.1, config.md, "config"; runtime-spec v1.2, config.md, "process".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError
from orlop.spec.descriptor import MAX_ANNOTATIONS
from orlop.timestamp import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECOND: Final = 10**9
_SHOWN: Final = 60
_MAX_PORT: Final = 65535
_PORT: Final = re.compile(r"([0-9]{1,5})(?:/(?:tcp|udp|sctp))?", re.ASCII)
_SIGNAL: Final = re.compile(r"SIG[A-Z][A-Z0-9]{1,9}(?:[+-][0-9]{1,2})?|[1-9][0-9]?", re.ASCII)
_USER: Final = re.compile(r"[^:\s]+(?::[^:\s]+)?")
_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]?", re.ASCII)
_PLATFORM: Final = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def check_text(where: str, value: str) -> str:
    """A text that JSON, and the kernel as an argument, can have.

    Raises:
        InvalidError: It has a NUL in it, or is not Unicode.
        TypeError: It is no text.
    """
    if not isinstance(value, str):
        raise TypeError(f"{where} must be a str, not {type(value).__name__}")
    if "\0" in value:
        raise InvalidError(f"{_show(value)} has a NUL in it", where=where)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidError(f"{_show(value)} is not UTF-8", where=where) from None
    return value


def check_words(where: str, words: Iterable[str]) -> tuple[str, ...]:
    """The words of a command.

    Raises:
        InvalidError: As `check_text`.
        TypeError: They are one text, which would be split into letters.
    """
    if isinstance(words, str):
        raise TypeError(f"{where} must be a list of words, not one str")
    return tuple(check_text(where, word) for word in words)


def _mapping(where: str, value: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{where} must map names to values, not be a {type(value).__name__}")
    return value


def check_env(variables: Mapping[str, str]) -> dict[str, str]:
    """Variables by name.

    Raises:
        InvalidError: A name is empty or has `=` in it, or a value is no text.
    """
    for name, value in _mapping("env", variables).items():
        check_env_name(name)
        check_text(f"env {name}", value)
    return dict(variables)


def check_env_name(name: str) -> str:
    """The name of a variable.

    Raises:
        InvalidError: It is empty, or has `=` in it.
    """
    check_text("env", name)
    if not name or "=" in name:
        raise InvalidError(f"{_show(name)} is no name of a variable", where="env")
    return name


def check_user(user: str) -> str:
    """A user, and a group after a colon; empty for root.

    Raises:
        InvalidError: It is neither.

    Spec: image-spec v1.1, config.md, "User".
    """
    check_text("user", user)
    if user and not _USER.fullmatch(user):
        raise InvalidError(
            f"{_show(user)} is no user", where="user", hint="write NAME, UID, NAME:GROUP or UID:GID"
        )
    return user


def check_port(port: str) -> str:
    """A port such as `80`, `53/udp`.

    Raises:
        InvalidError: It is none.
    """
    check_text("exposed_ports", port)
    found = _PORT.fullmatch(port)
    if found is None or not 0 < int(found[1]) <= _MAX_PORT:
        raise InvalidError(
            f"{_show(port)} is no port",
            where="exposed_ports",
            hint="write PORT, PORT/tcp or PORT/udp, with a port from 1 to 65535",
        )
    return port


def check_path(where: str, path: str) -> str:
    """An absolute path, of Linux or of Windows; empty where there is none.

    Raises:
        InvalidError: It is relative, or leads upwards.
    """
    check_text(where, path)
    if path and not (path.startswith("/") or _DRIVE.match(path)):
        raise InvalidError(f"{_show(path)} is no absolute path", where=where)
    if ".." in path.split("/"):
        raise InvalidError(f"{_show(path)} has .. in it", where=where)
    return path


def check_volume(path: str) -> str:
    """The directory of a volume.

    Raises:
        InvalidError: It is no absolute path, or the root directory.
    """
    check_path("volumes", path)
    if not path.strip("/"):
        raise InvalidError(f"{_show(path)} cannot be a volume", where="volumes")
    return path


def check_signal(signal: str) -> str:
    """A signal such as `SIGTERM`, `SIGRTMIN+3` or `15`; empty where there is none.

    Raises:
        InvalidError: It is none.

    Spec: image-spec v1.1, config.md, "StopSignal".
    """
    check_text("stop_signal", signal)
    if signal and not _SIGNAL.fullmatch(signal):
        raise InvalidError(
            f"{_show(signal)} is no signal", where="stop_signal", hint="such as SIGTERM or 15"
        )
    return signal


def check_notes(where: str, notes: Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations by key.

    Raises:
        InvalidError: A key is empty, or a value is no text.

    Spec: image-spec v1.1, annotations.md, "Rules".
    """
    for key, value in _mapping(where, notes).items():
        if not check_text(where, key):
            raise InvalidError("a key is empty", where=where)
        check_text(f"{where} {key}", value)
    return dict(notes)


def check_count(where: str, count: int) -> None:
    """Succeed if an image may have so many labels or annotations.

    Raises:
        InvalidError: It may not.
    """
    if count > MAX_ANNOTATIONS:
        raise InvalidError(f"{count} are more than {MAX_ANNOTATIONS}", where=where)


def check_moment(where: str, moment: str | datetime | float) -> str:
    """A moment as RFC 3339 writes it, out of such a text, a datetime, or seconds since 1970.

    Raises:
        InvalidError: It is none, or has no time zone.
    """
    if isinstance(moment, str):
        if parse_timestamp(moment) is None:
            raise InvalidError(
                f"{_show(moment)} is no time of RFC 3339",
                where=where,
                hint="such as 2024-02-03T04:05:06Z",
            )
        return moment
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise InvalidError(f"{moment} has no time zone", where=where)
        moment = moment.timestamp()
    try:
        return format_timestamp(round(moment * _SECOND))
    except (ValueError, OverflowError) as error:
        raise InvalidError(str(error), where=where) from None


def check_platform_part(where: str, text: str, *, empty: bool = False) -> str:
    """An operating system, an architecture or a variant.

    Raises:
        InvalidError: It is none.
    """
    check_text(where, text)
    if not _PLATFORM.fullmatch(text) and not (empty and not text):
        raise InvalidError(f"{_show(text)} cannot be one", where=where)
    return text


def _show(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
