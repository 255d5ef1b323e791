from datetime import UTC, datetime

import pytest

from orlop.errors import AuthError, NotFoundError, RegistryError
from orlop.registry.retry import (
    BASE_DELAY,
    MAX_DELAY,
    MAX_RETRY_AFTER,
    RetryBudget,
    backoff,
    is_retryable,
    parse_retry_after,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0),
        (" 7 ", 7),
        ("100000000000000000000", MAX_RETRY_AFTER),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("Thu, 01 Jan 2099 11:00:00 GMT", MAX_RETRY_AFTER),
        ("Thu, 99 Jan 2026 12:00:30 GMT", None),
        ("Thu, 01 Jan 99999999999999999999 12:00:30 GMT", None),
        ("Thu, 01 Jan 2026 12:00:30 +99999999999999999999", None),
    ],
)
def test_retry_after(value, seconds):
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_statuses_that_pass(status):
    assert is_retryable(status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 416, 501, 505])
def test_statuses_that_stay(status):
    assert not is_retryable(status)


def test_delays_double_to_a_limit():
    for used in range(30):
        full = min(BASE_DELAY * 2**used, MAX_DELAY)
        assert full / 2 <= backoff(used) <= full


def test_a_budget_ends_with_the_error_itself():
    waits = []
    budget = RetryBudget(2, waits.append)
    error = RegistryError("busy", retryable=True)
    budget.spend(error)
    budget.spend(error, retry_after=7)
    with pytest.raises(RegistryError) as caught:
        budget.spend(error)
    assert caught.value is error
    assert len(waits) == 2
    assert waits[1] == 7


def test_progress_grants_all_retries_again():
    budget = RetryBudget(1, lambda _: None)
    error = RegistryError("busy", retryable=True)
    for _ in range(5):
        budget.spend(error)
        budget.refresh()


@pytest.mark.parametrize(
    "error", [NotFoundError("none"), AuthError("no"), RegistryError("bad", retryable=False)]
)
def test_final_errors_are_not_tried_again(error):
    waits = []
    with pytest.raises(type(error)):
        RetryBudget(9, waits.append).spend(error)
    assert waits == []
