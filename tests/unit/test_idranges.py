import pytest

from orlop.errors import InvalidError, LimitExceededError, NotFoundError
from orlop.idmap import MAX_RANGES, IdMapping
from orlop.idranges import MAX_LINES, IdSpan, allocate, parse_subordinate_ids, ranges_of


def span(text):
    first, size = map(int, text.split("+"))
    return IdSpan(first=first, size=size)


def spans(*texts):
    return tuple(map(span, texts))


FILE = """\
root:1:2
# a comment
containers:100000:65536
1000:300000:10
nonsense
anna:400000:10:more
anna :7:7

containers:200000:5
"""


def test_a_file_gives_spans_by_name_and_number():
    assert parse_subordinate_ids(FILE, {"containers"}) == spans("100000+65536", "200000+5")
    assert parse_subordinate_ids(FILE, {"bert", "1000"}) == spans("300000+10")
    assert parse_subordinate_ids(FILE, {"nobody"}) == ()
    assert parse_subordinate_ids("", {"root"}) == ()


@pytest.mark.parametrize(
    "line", ["anna:", "anna", "anna:1", "anna:x:1", "anna:1:0", "anna:1:4294967295", "anna:-1:2"]
)
def test_a_line_of_the_user_that_gives_nothing_is_told(line):
    text = f"root:1:1\n{line}\n"
    with pytest.raises(InvalidError, match=r"/etc/subuid:2: "):
        parse_subordinate_ids(text, {"anna"}, where="/etc/subuid")
    assert parse_subordinate_ids(text, {"root"}) == spans("1+1")


def test_the_number_of_lines_is_limited():
    text = "anna:1:1\n" * MAX_LINES
    assert len(parse_subordinate_ids(text, {"anna"})) == MAX_LINES
    with pytest.raises(LimitExceededError, match="MAX_LINES"):
        parse_subordinate_ids(f"{text}x", {"anna"})


@pytest.mark.parametrize(
    ("available", "used", "size", "chosen"),
    [
        (("100+50",), (), 10, ("100+10",)),
        (("100+50",), ("100+10",), 10, ("110+10",)),
        (("100+50",), ("105+10",), 10, ("115+10",)),
        (("100+50",), ("105+10",), 5, ("100+5",)),
        (("100+50",), ("0+1000",), 1, None),
        (("200+10", "100+10"), (), 10, ("100+10",)),
        (("100+10", "110+10"), (), 20, ("100+20",)),
        (("100+10", "105+15"), (), 20, ("100+20",)),
        (("100+10", "200+20"), (), 30, ("100+10", "200+20")),
        (("100+10", "200+20"), (), 25, ("100+5", "200+20")),
        (("100+10", "200+20", "300+5"), ("205+3",), 17, ("100+5", "208+12")),
        (("100+10",), ("105+1", "102+1"), 8, ("100+2", "103+2", "106+4")),
        (("100+10",), ("105+1", "102+1"), 9, None),
        (("100+10",), ("90+10", "110+5"), 10, ("100+10",)),
        ((), (), 1, None),
    ],
)
def test_what_is_chosen(available, used, size, chosen):
    if chosen is None:
        with pytest.raises(NotFoundError):
            allocate(spans(*available), spans(*used), size)
    else:
        assert allocate(spans(*available), spans(*used), size) == spans(*chosen)


def test_what_is_there_and_what_is_used_is_told():
    with pytest.raises(NotFoundError, match="no 65536 ids are free: 100 are available, 60 of") as e:
        allocate(spans("100+100"), spans("50+100", "150+10"), 65_536)
    assert "/etc/subuid" in e.value.hint


def test_the_number_of_pieces_is_limited():
    available = [IdSpan(first=number * 2, size=1) for number in range(MAX_RANGES + 1)]
    assert len(allocate(available, (), MAX_RANGES)) == 340
    with pytest.raises(LimitExceededError, match="MAX_RANGES = 340"):
        allocate(available, (), MAX_RANGES + 1)


def test_a_size_of_nothing_is_the_callers_mistake():
    with pytest.raises(ValueError, match="size"):
        allocate(spans("1+1"), (), 0)


def test_ids_of_the_machine_become_a_containers():
    ranges = ranges_of(spans("100+5", "200+10"))
    assert ranges == IdMapping.parse(["0:100:5", "5:200:10"]).uids
    assert ranges_of(spans("7+1"), container=3)[0].container == 3
