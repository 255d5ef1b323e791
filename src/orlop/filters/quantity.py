"""Sizes and times: what filters compare, and how people write them.

    size   10  10B  1.5GiB  200MB     bytes; kB to PB count in thousands, KiB to PiB in 1024
    time   2026-01-31T10:00:00.5Z     RFC 3339, also with a blank for the T; a date alone is its
                                      first moment in UTC
    age    7d  1h30m  2w              the moment so long ago; s, m, h, d, w

No text is two of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

from orlop.timestamp import parse_timestamp

_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AGES: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_PREFIXES: Final = "kmgtp"

_NUMBER: Final = r"[0-9]{1,19}(?:\.[0-9]{1,9})?"
_SIZE: Final = re.compile(rf"({_NUMBER}) ?(?:([kmgtp]?)(i?)b)?", re.IGNORECASE | re.ASCII)
_AGE: Final = re.compile(rf"(?:{_NUMBER}[smhdw]){{1,8}}")
_AGE_PART: Final = re.compile(rf"({_NUMBER})([smhdw])")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Time:
    """A moment.

    Attributes:
        ns: Nanoseconds since 1970.
    """

    ns: int

    def __str__(self) -> str:
        """As RFC 3339 writes it, in UTC."""
        seconds, ns = divmod(self.ns, _SECOND)
        moment = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
        fraction = f".{ns:09}".rstrip("0") if ns else ""
        return f"{moment}{fraction}Z"


def read_size(text: str) -> int | None:
    """The bytes that a text such as `10MiB` means, or None where it is no size."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    number, prefix, binary = found.groups()
    if binary and not prefix:
        return None
    base = 1024 if binary else 1000
    return int(Fraction(number) * base ** (_PREFIXES.index(prefix.lower()) + 1 if prefix else 0))


def read_time(text: str, now_ns: int | None = None) -> Time | None:
    """The moment that a text means, or None where it is none.

    Args:
        text: A time of RFC 3339, a date, or an age such as `7d`.
        now_ns: What ages count from, in nanoseconds since 1970; None where they mean nothing.
    """
    if _AGE.fullmatch(text):
        return None if now_ns is None else Time(now_ns - _read_age(text))
    whole = f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text.replace(" ", "T", 1)
    ns = parse_timestamp(whole)
    return None if ns is None else Time(ns)


def _read_age(text: str) -> int:
    parts = ((Fraction(number), unit) for number, unit in _AGE_PART.findall(text))
    return int(sum(number * _AGES[unit] * _SECOND for number, unit in parts))
