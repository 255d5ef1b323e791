import pytest

from orlop.filters import Time
from orlop.filters.quantity import read_size, read_time

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("10", 10),
        ("10B", 10),
        ("10b", 10),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("1kib", 1024),
        ("3 MB", 3_000_000),
        ("2MiB", 2 << 20),
        ("1.5GiB", 3 << 29),
        ("0.1kB", 100),
        ("1TiB", 1 << 40),
        ("1PB", 10**15),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_sizes_are_read(text, size):
    assert read_size(text) == size
    assert read_time(text, 0) is None


@pytest.mark.parametrize(
    "text", ["", "B", "-1", "+1", "1e3", "1M", "1K", "1iB", "1.MB", ".5MB", "1  MB", "٣", "1" * 20]
)
def test_what_is_no_size_is_not_read(text):
    assert read_size(text) is None


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("1970-01-02T00:00:01z", 86401 * SECOND),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:30:00-00:30", 0),
        ("1969-12-31T23:59:59.5Z", -SECOND // 2),
        ("2026-01-31 10:00:00.123456789Z", 1769853600123456789),
        ("1970-01-01T00:00:00.0000000019Z", 1),
        ("1969-12-31T23:59:60Z", 0),
        ("1970-01-01T00:59:60.5+01:00", SECOND // 2),
        ("0s", 100 * SECOND),
        ("1m40s", 0),
        ("1.5s", 100 * SECOND - 3 * SECOND // 2),
        ("1h", -3500 * SECOND),
        ("2w1d", (100 - 15 * 86400) * SECOND),
    ],
)
def test_times_are_read(text, ns):
    assert read_time(text, 100 * SECOND) == Time(ns)
    assert read_size(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026", "2026-13-01", "2026-02-30", "2026-01-31T10:00:00",
        "2026-01-31T25:00:00Z", "2026-01-31T10:00Z",
        "2026-01-31T10:00:00+25:00",
        "٢٠٢٦-01-01", "7", "d", "7y", "7 d", "-7d", "1d" * 9, "0000-01-01",
    ],
)  # fmt: skip
def test_what_is_no_time_is_not_read(text):
    assert read_time(text, 0) is None


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1769853600123456789, "2026-01-31T10:00:00.123456789Z"),
        (-SECOND // 2, "1969-12-31T23:59:59.5Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
        (-(2**63), "1677-09-21T00:12:43.145224192Z"),
    ],
)
def test_moments_are_written_as_they_are_read(ns, text):
    assert str(Time(ns)) == text
    assert read_time(text) == Time(ns)
