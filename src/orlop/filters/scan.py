"""The words of a filter: fields, operators, values and what separates them.

    field      [A-Za-z0-9_]+
    quoted     "…", and /…/ or |…| where the parser allows it; begins only where a word begins
    separator  . or ,
    operator   a run of = ! ~, or < or > with such a run behind it
    value      after an operator: a run of printable characters but white space and commas

White space between words means nothing. A character that quotes is an ordinary one inside a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, final

from orlop.filters.failure import invalid
from orlop.filters.quoting import QUOTES, read_quoted

_SPACE: Final = re.compile(
    r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*", re.ASCII
)
_FIELD: Final = re.compile(r"[A-Za-z0-9_]+")
_OPERATOR: Final = re.compile(r"[=!~]+")
_ORDER: Final = re.compile(r"[<>][=!~]*")
_UNREADABLE: Final = re.compile("[\0\ud800-\udfff]")


class Kind(Enum):
    """What a word is."""

    FIELD = auto()
    QUOTED = auto()
    SEPARATOR = auto()
    OPERATOR = auto()
    VALUE = auto()
    OTHER = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A word.

    Attributes:
        kind: What it is.
        text: As it is written.
        at: Index of its first character.
        value: What it says: other than `text` where it is quoted.
    """

    kind: Kind
    text: str
    at: int
    value: str


@final
class Scanner:
    """Takes a filter apart, word by word.

    Args:
        text: The filter.

    Raises:
        InvalidFilterError: There is a NUL, or something that is not UTF-8.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._expects_value = False
        self._next: Token | None = None
        if found := _UNREADABLE.search(text):
            problem = "unexpected NUL" if found[0] == "\0" else "this is not UTF-8"
            raise invalid(text, found.start(), problem)

    def peek(self) -> Token:
        """The next word, which stays the next.

        Raises:
            InvalidFilterError: It is quoted, and the quotation is broken.
        """
        if self._next is None:
            self._next = self._scan()
        return self._next

    def scan(self) -> Token:
        """The next word; beyond the last one, `END` for ever.

        Raises:
            InvalidFilterError: It is quoted, and the quotation is broken.
        """
        token = self.peek()
        self._next = None
        return token

    def _scan(self) -> Token:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        at = self._at = space.end()
        if at == len(self._text):
            return Token(Kind.END, "", at, "")
        character = self._text[at]
        if character in QUOTES:
            self._expects_value = False
            value, self._at = read_quoted(self._text, at)
            return Token(Kind.QUOTED, self._text[at : self._at], at, value)
        if character in ".,":
            self._expects_value = False
            return self._take(Kind.SEPARATOR, at + 1)
        return self._scan_run(at)

    def _scan_run(self, at: int) -> Token:
        expects_value, self._expects_value = self._expects_value, False
        if found := _OPERATOR.match(self._text, at):
            self._expects_value = True
            return self._take(Kind.OPERATOR, found.end())
        if expects_value:
            end = at
            while end < len(self._text) and _is_ordinary(self._text[end]):
                end += 1
            return self._take(Kind.VALUE if end > at else Kind.OTHER, max(end, at + 1))
        if found := _ORDER.match(self._text, at):
            self._expects_value = True
            return self._take(Kind.OPERATOR, found.end())
        if found := _FIELD.match(self._text, at):
            return self._take(Kind.FIELD, found.end())
        return self._take(Kind.OTHER, at + 1)

    def _take(self, kind: Kind, end: int) -> Token:
        at, self._at = self._at, end
        text = self._text[at:end]
        return Token(kind, text, at, text)


def _is_ordinary(character: str) -> bool:
    return character.isprintable() and character not in ", "
