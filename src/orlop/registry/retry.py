"""When to ask again, and how long to wait before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from orlop.errors import OrlopError

DEFAULT_RETRIES: Final = 4
BASE_DELAY: Final = 0.25
"""Seconds before the first retry; doubled for each that follows, half of it by chance."""
MAX_DELAY: Final = 10.0
"""The longest wait (seconds) of our own choice."""
MAX_RETRY_AFTER: Final = 60.0
"""The longest wait (seconds) that a server may ask for; more is cut to this."""

_RETRYABLE: Final = frozenset({408, 429, 500, 502, 503, 504})


def is_retryable(status: int) -> bool:
    """Whether the same request may succeed later, going by the status alone."""
    return status in _RETRYABLE


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """The seconds that a `Retry-After` header asks for, None where it says nothing usable.

    Args:
        value: The header: seconds, or an HTTP date.
        now: What a date is compared with; the present time by default.

    Spec: RFC 9110, section 10.2.3.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER)
    return _seconds_until(text, now) if text else None


def backoff(used: int) -> float:
    """Seconds to wait after `used` retries: exponential, half of it by chance, bounded."""
    import random

    delay = min(BASE_DELAY * 2.0 ** min(used, 16), MAX_DELAY)
    return delay * (0.5 + random.random() / 2)  # noqa: S311  spreads load, guards nothing


def _seconds_until(date: str, now: datetime | None) -> float | None:
    """The bounded time to an HTTP date, None where it is none."""
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


class RetryBudget:
    """How many retries are left to one request or one download.

    Args:
        retries: Retries without any progress between them.
        sleep: Waits so many seconds.
    """

    __slots__ = ("_left", "_retries", "_sleep")

    def __init__(self, retries: int, sleep: Callable[[float], None]) -> None:
        self._retries = retries
        self._left = retries
        self._sleep = sleep

    def refresh(self) -> None:
        """Grant all retries again, because something new arrived."""
        self._left = self._retries

    def spend(self, error: OrlopError, retry_after: float | None = None) -> None:
        """Wait until the next attempt is due.

        Args:
            error: Why the last attempt failed.
            retry_after: Seconds that the server asked for, None when it did not.

        Raises:
            OrlopError: The error itself, when it is final or no retry is left.
        """
        if not isinstance(error, RegistryError) or not error.retryable or self._left <= 0:
            raise error
        used = self._retries - self._left
        self._left -= 1
        self._sleep(backoff(used) if retry_after is None else retry_after)
