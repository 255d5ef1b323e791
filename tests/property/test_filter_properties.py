import re

from hypothesis import given
from hypothesis import strategies as st

from orlop.errors import InvalidFilterError
from orlop.filters import Filter, Time, literal_prefix, parse, quote
from orlop.filters.pattern import compile_pattern
from orlop.filters.quantity import read_time

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = st.text("ab", max_size=3)
names = st.sampled_from(["a", "b", "labels.c", "labels.d.e"])
conditions = st.builds(
    "{}{}".format,
    names,
    st.just("") | st.builds('{}"{}"'.format, st.sampled_from(["==", "!=", "~="]), words),
)
filters = st.lists(conditions, max_size=3).map(",".join)
records = st.dictionaries(names, words.filter(bool))
pieces = st.sampled_from(
    [*'abc,."/|=!~<>\\\n \t()[]{}^$', "==", "~=", "\\x", "\\u00", "7d", "\0", "\ud800", "labels."]
)


def look(record):
    return lambda path: record.get(".".join(path))


@given(st.lists(pieces, max_size=20).map("".join) | st.text(max_size=30))
def test_a_text_is_a_filter_or_an_error(text):
    """Never both a result and an error, and never neither."""
    try:
        found = parse(text, now_ns=0)
    except InvalidFilterError as error:
        column = re.match(r"column (\d+)$", error.where)
        assert 1 <= int(column[1]) <= len(text) + 1
    else:
        assert isinstance(found, Filter)
        assert found(lambda path: "text") in {True, False}


@given(texts, texts)
def test_what_is_quoted_is_read_as_it_was(key, value):
    """A quoted field or value may hold any text."""
    (selector,) = parse(f"labels.{quote(key)}=={quote(value)}").alternatives[0]
    assert selector.path == ("labels", key)
    assert selector.value == value


@given(names, texts.filter(bool))
def test_not_equal_is_true_for_the_absent(name, value):
    """`!=` is plain inequality."""
    assert parse(f"{name}!={quote(value)}")(look({}))
    assert not parse(f"{name}=={quote(value)}")(look({}))


@given(names, texts, records)
def test_equal_and_not_equal_exclude_each_other(name, value, record):
    """What is there is either equal to a value or not."""
    equal, different = (parse(f"{name}{how}{quote(value)}")(look(record)) for how in ("==", "!="))
    assert not (equal and different)
    if name in record:
        assert equal != different


@given(st.lists(filters, min_size=1, max_size=3), records)
def test_several_filters_hold_if_one_of_them_does(several, record):
    """The filters are OR-ed."""
    each = [parse(text)(look(record)) for text in several]
    assert parse(*several)(look(record)) is any(each)
    assert parse(*reversed(several))(look(record)) is any(each)


@given(st.lists(conditions, min_size=1, max_size=4), records)
def test_a_filter_holds_if_all_its_conditions_do(several, record):
    """The selectors of a filter are AND-ed."""
    each = [parse(text)(look(record)) for text in several]
    assert parse(",".join(several))(look(record)) is all(each)
    assert parse(",".join(reversed(several)))(look(record)) is all(each)


@given(st.text("ab.*+?\\^$", max_size=6), st.text("ab.*", max_size=5))
def test_what_a_pattern_is_found_in_begins_with_its_plain_beginning(pattern, text):
    """A store may look up the plain beginning instead of searching everything."""
    try:
        found = compile_pattern(pattern).search(text)
    except ValueError:
        return
    if found:
        assert text.startswith(literal_prefix(pattern))


@given(st.integers(-(2**63), 2**63 - 1))
def test_moments_are_read_as_they_were_written(ns):
    """date-time = full-date "T" full-time."""
    assert read_time(str(Time(ns))) == Time(ns)
