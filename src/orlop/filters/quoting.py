r"""Quoted texts of filters, and their escapes.

    \a \b \f \n \r \t \v \\   as in C
    \"                        the quotation mark itself, whichever it is
    \ooo \xhh                 a byte, octal (up to 377) or hexadecimal
    \uhhhh \Uhhhhhhhh         a character

Whatever they make up is UTF-8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orlop.filters.failure import invalid

if TYPE_CHECKING:
    from orlop.errors import InvalidFilterError

QUOTES: Final = '"/|'
"""What begins a quoted text, and ends it."""

_SIMPLE: Final = dict(zip("abfnrtv\\", "\a\b\f\n\r\t\v\\", strict=True))
_NUMERIC: Final = re.compile(
    r"(?P<octal>[0-3][0-7]{2})|x(?P<hex>[0-9A-Fa-f]{2})"
    r"|u(?P<short>[0-9A-Fa-f]{4})|U(?P<long>[0-9A-Fa-f]{8})"
)
_PLAIN: Final = {mark: re.compile(rf"[^\\\n{re.escape(mark)}]*") for mark in QUOTES}


def quote(text: str) -> str:
    """Quote any text as a field or value of a filter, such as the key in `labels."a/b"`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.replace("\0", "\\x00")


def read_quoted(text: str, at: int) -> tuple[str, int]:
    """What a quoted text says, and where it ends.

    Args:
        text: The filter.
        at: Index of the mark that begins it.

    Raises:
        InvalidFilterError: It does not end in its line, or an escape means nothing.
    """
    mark, position, found = text[at], at + 1, bytearray()
    while True:
        plain = _PLAIN[mark].match(text, position)
        assert plain is not None
        found += plain[0].encode()
        position = plain.end()
        if text.startswith(mark, position):
            return _decode(found, text, at), position + 1
        if not text.startswith("\\", position) or text[position + 1 : position + 2] in ("", "\n"):
            raise _unterminated(text, at)
        piece, position = _read_escape(text, position, mark)
        found += piece


def _read_escape(text: str, at: int, mark: str) -> tuple[bytes, int]:
    character = text[at + 1]
    if character == mark:
        return character.encode(), at + 2
    if character in _SIMPLE:
        return _SIMPLE[character].encode(), at + 2
    if character not in "01234567xuU":
        hint = f"write \\\\{character} for a backslash and {character!r}"
        raise invalid(text, at, "illegal escape sequence", hint=hint)
    numeric = _NUMERIC.match(text, at + 1)
    value = None if numeric is None else _read_number(numeric)
    if numeric is None or value is None:
        raise invalid(text, at, "illegal numeric escape sequence")
    return value, numeric.end()


def _read_number(found: re.Match[str]) -> bytes | None:
    """The bytes that a numeric escape stands for, or None where no character has its number."""
    if found["octal"] or found["hex"]:
        return bytes([int(found["octal"], 8) if found["octal"] else int(found["hex"], 16)])
    try:
        return chr(int(found["short"] or found["long"], 16)).encode()
    except (ValueError, OverflowError):
        return None


def _decode(found: bytearray, text: str, at: int) -> str:
    try:
        return found.decode()
    except UnicodeDecodeError:
        raise invalid(text, at, "the escaped bytes are not UTF-8") from None


def _unterminated(text: str, at: int) -> InvalidFilterError:
    hint = None
    if text[at] != '"':
        hint = f'write "…" around what has a {text[at]} in it, as in labels."example.org/key"'
    return invalid(text, at, "quoted literal not terminated", hint=hint)
