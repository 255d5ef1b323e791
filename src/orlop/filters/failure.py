"""Saying where a filter is wrong."""

from __future__ import annotations

from typing import Final

from orlop.errors import InvalidFilterError

_SHOWN: Final = 40
"""Characters that a message repeats on each side."""


def invalid(text: str, at: int, problem: str, *, hint: str | None = None) -> InvalidFilterError:
    """The error that shows a filter with the place where it is wrong.

    Args:
        text: The filter.
        at: Index of the character; the length of the filter where something is missing.
        problem: What is wrong there.
        hint: What to write instead.
    """
    before = _printable(text[max(at - _SHOWN, 0) : at])
    before = f"…{before}" if at > _SHOWN else before
    after = _printable(text[at + 1 : at + 1 + _SHOWN])
    after = f"{after}…" if at + 1 + _SHOWN < len(text) else after
    character = _printable(text[at : at + 1])
    marked = f"[{before} >|{character}|< {after}]" if character else f"[{before}]"
    return InvalidFilterError(f"{problem}: {marked}", where=f"column {at + 1}", hint=hint)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
