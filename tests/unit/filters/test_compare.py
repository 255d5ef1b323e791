import pytest

from orlop.errors import InvalidFilterError
from orlop.filters import Time, parse

DAY = 86400 * 10**9
NOW = 20_000 * DAY + 1
RECORD = {
    "size": 10 << 20,
    "createdat": Time(NOW - 3 * DAY),
    "text": "25MB",
    "until": "2024-10-04T00:00:00Z",
    "word": "ten",
    "empty": "",
}


def holds(text, record=RECORD):
    return parse(text, now_ns=NOW)(lambda path: record.get(path[0]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("size>10MiB", False),
        ("size>=10MiB", True),
        ("size>10MB", True),
        ("size<10.5MiB", True),
        ("size<=10485760", True),
        ("size<10485760B", False),
        ("size==10MiB", True),
        ("size==10240KiB", True),
        ("size!=10MiB", False),
        ("size!=11MiB", True),
        ("size~=^1048", True),
        ("empty", False),
        ('empty==""', False),
        ('empty!=""', False),
        ("empty!=x", True),
        ("size", True),
        ("createdat<7d", False),
        ("createdat>7d", True),
        ("createdat<2d23h", True),
        ("createdat<=3d", True),
        ("createdat<3d", False),
        ("createdat==3d", True),
        ("createdat>2024-10-01", True),
        ("createdat<2024-10-02T00:00:00Z", True),
        ("createdat>2024-10-01T02:00:00+02:00", True),
        ("createdat~=^2024-10-01T", True),
        ("createdat!=2024-10-01", True),
        ("text>20MB", True),
        ("text<20MB", False),
        ("text==25MB", True),
        ("text==25000kB", False),
        ("until<1d", False),
        ("until>2024-10-03", True),
        ("word<5MB", False),
        ("word>5MB", False),
        ("absent<5MB", False),
        ("absent>5MB", False),
        ("absent<7d", False),
    ],
)
def test_sizes_and_times_are_compared(text, expected):
    assert holds(text) is expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("size<7d", "column 1: size cannot be compared with '7d', which is no size"),
        ("a,size>=2026-01-31", "column 3: size cannot be compared with '2026-01-31'"),
        ("size==ten", "'ten', which is no size such as 10MiB"),
        ("size!=ten", "'ten', which is no size such as 10MiB"),
        ("createdat>10MiB", "'10MiB', which is no time such as 2026-01-31"),
        ("createdat==monday", "'monday', which is no time"),
    ],
)
def test_what_cannot_be_compared_is_refused(text, problem):
    with pytest.raises(InvalidFilterError, match=problem):
        holds(text, {**RECORD, "a": "there"})


@pytest.mark.parametrize("value", ["ten", "10QB", "7y", "2026-02-30", "1e3", "-1", "10 MiB!"])
def test_order_needs_a_size_or_a_time(value):
    with pytest.raises(InvalidFilterError, match="expected a size such as 10MiB") as caught:
        parse(f'size<"{value}"', now_ns=NOW)
    assert caught.value.where == "column 6"


def test_ages_need_the_time():
    with pytest.raises(InvalidFilterError, match="column 11"):
        parse("createdat<7d")
