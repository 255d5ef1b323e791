"""What commands print: tables for people, JSON for programs, and sizes and times that read well."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Format: TypeAlias = Literal["table", "json"]

_KINDS = {"form": "layer", "chain": "stack"}
_DELETE = "\x7f"
# What JSON leaves as it is: letters, but also C1 controls and those that turn a line's direction.
_BEYOND_ASCII = re.compile(r"[^\x00-\x7e]")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def print_table(rows: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    """Print rows under headings, each column as wide as its widest cell."""
    lines = [
        [heading.upper() for heading in headings],
        *([clean(cell) for cell in row] for row in rows),
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def name_kind(kind: str) -> str:
    """What commands call a kind of thing that a store keeps."""
    return _KINDS.get(kind, kind)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values, the values below each other."""
    width = max((len(name) for name, _ in facts), default=0) + 1
    for name, value in facts:
        print(f"{name + ':':{width}}  {clean(value)}".rstrip())


def print_json(document: object) -> None:
    """Print a document as indented JSON, whose escapes keep control characters off a terminal."""
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(document):
        sys.stdout.write(_BEYOND_ASCII.sub(_escaped, piece))
    print()


def print_bytes(data: bytes) -> None:
    """Print a document as it is stored, and not a byte more."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def clean(text: str) -> str:
    """The text without control characters, which could change what a terminal shows."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    return json.dumps(character)[1:-1] if character != _DELETE else r"\u007f"


def human_size(size: int) -> str:
    """A number of bytes, to three digits."""
    amount = float(size)
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"


def human_time(time_ns: int) -> str:
    """A moment as local date and time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ns / 1e9))


def human_age(time_ns: int, now_ns: int) -> str:
    """How long ago a moment was, in its largest unit."""
    seconds = max(0, (now_ns - time_ns) // 1_000_000_000)
    for unit, length in (
        ("year", 31536000),
        ("month", 2592000),
        ("day", 86400),
        ("hour", 3600),
        ("minute", 60),
    ):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
