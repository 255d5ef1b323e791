"""Moments as RFC 3339 writes them: in configs, labels and filters."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_HOUR: Final = r"(?:[01]\d|2[0-3])"
_TIMESTAMP: Final = re.compile(
    rf"(\d{{4}}-\d\d-\d\d)[Tt]({_HOUR}:\d\d:\d\d)(?:\.(\d{{1,30}}))?(?:[Zz]|([+-]{_HOUR}:[0-5]\d))",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 10**9


def parse_timestamp(text: str) -> int | None:
    """The moment that a text means, in nanoseconds since 1970; None where it is no timestamp.

    A leap second is the second after it. What is finer than a nanosecond is cut off.

    Spec: RFC 3339, section 5.6.
    """
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    date, clock, fraction, offset = found.groups(default="")
    leap = clock.endswith(":60")
    clock = f"{clock[:-2]}59" if leap else clock
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}{offset or '+00:00'}")
        seconds = (moment - _EPOCH) // timedelta(seconds=1) + leap
    except (ValueError, OverflowError):
        return None
    return seconds * _SECOND + int(fraction[:9].ljust(9, "0"))


def format_timestamp(moment_ns: int) -> str:
    """A moment in nanoseconds since 1970 as a text in UTC, without zeros at its end.

    Spec: RFC 3339, section 5.6.

    Raises:
        ValueError: It lies before the year 1 or after 9999.
    """
    seconds, fraction = divmod(moment_ns, _SECOND)
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{moment_ns} ns is no time of the years 1 to 9999") from error
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{digits}Z"
