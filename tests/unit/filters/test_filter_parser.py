import pytest

from orlop.errors import InvalidError, InvalidFilterError, LimitExceededError
from orlop.filters import Operator, Selector, labels_value, parse
from orlop.filters.parser import MAX_FILTER_LENGTH, MAX_FILTERS, MAX_SELECTORS

ODD = 'a "quoted" \\ key'
SHIPS = [
    {"name": "brig", "labels": {"sail": "square"}},
    {"name": "sloop"},
    {"name": "brig", "labels": {"sail": "set", "two words": "set"}},
    {"name": "sloop", "labels": {"mast": "one"}},
    {"name": "brigantine", "labels": {ODD: "set"}},
    {"name": "brigantine", "labels": {f"{ODD}.more": "set"}},
    {"name": "hulk", "note": "no masts, alas"},
    {"name": "hoy", "note": "aas"},
    {"name": "yawl", "labels": {"sail": "jib_and.main-sail"}},
]


def adapt(ship):
    def field(path):
        if path[0] == "labels":
            return labels_value(ship.get("labels", {}), path)
        return ship.get(path[0]) if len(path) == 1 else None

    return field


def chosen(*filters):
    found = parse(*filters)
    return [number for number, ship in enumerate(SHIPS) if found(adapt(ship))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("name", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("nothing", []),
        ("labels.sail", [0, 2, 8]),
        ("labels.sail,name", [0, 2, 8]),
        ("labels.sail==square", [0]),
        ("labels.sail==jib_and.main-sail", [8]),
        ("name==sloop", [1, 3]),
        ("name!=sloop", [0, 2, 4, 5, 6, 7, 8]),
        ("name==sloop,labels.mast", [3]),
        ('note=="no masts, alas"', [6]),
        ("note==no", []),
        ("note~=[as]+,name!=brig", [6, 7]),
        ("note~=/[as]+/,name!=brig", [6, 7]),
        ("note~=|a{2,}|", [7]),
        ("note~=/[as]{1,2}/,name!=brig", [6, 7]),
        (r'note~=/[as]{0,1}"\//,name!=brig', []),
        ("name==sloop,labels.mast==one", [3]),
        ("name==sloop,labels.mast==two", []),
        ('name==brig,labels."two words"', [2]),
        (r'labels."a \"quoted\" \\ key"==set', [4]),
        (r'labels."a \"quoted\" \\ key".more==set', [5]),
        ('"name"=="hoy"', [7]),
        ("name~=oo", [1, 3]),
        ("name~=^h", [6, 7]),
        (" name == hoy , note ", [7]),
        ("labels", []),
        ("name.more", []),
    ],
)
def test_records_are_chosen(text, expected):
    assert chosen(text) == expected


def test_not_equal_holds_for_the_absent():
    assert chosen("note!=aas") == [0, 1, 2, 3, 4, 5, 6, 8]
    assert chosen("labels.mast!=one,name==sloop") == [1]


def test_absent_is_neither_equal_to_nothing_nor_different_from_it():
    assert chosen('note==""') == []
    assert chosen('note!=""') == [6, 7]


def test_pattern_sees_the_absent_as_empty_text():
    assert chosen("note~=^$") == [0, 1, 2, 3, 4, 5, 8]


def test_any_of_several_filters_is_enough():
    assert chosen("name==hoy", "name==sloop,labels.mast") == [3, 7]
    assert chosen("name==hoy", "") == list(range(len(SHIPS)))
    assert chosen() == list(range(len(SHIPS)))


def test_filter_tells_its_conditions():
    found = parse('name==a,labels."x/y".z', "size>=1KiB")
    assert found.alternatives == (
        (
            Selector(path=("name",), operator=Operator.EQUAL, value="a"),
            Selector(path=("labels", "x/y", "z")),
        ),
        (Selector(path=("size",), operator=Operator.GREATER_OR_EQUAL, value="1KiB"),),
    )
    assert [selector.column for selector in found.alternatives[0]] == [1, 9]
    assert parse().alternatives == ((),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels.|sail|==a", "column 8: invalid quote encountered: [labels. >|||< sail|==a]"),
        ("name==/a/", "column 7: invalid quote encountered: [name== >|/|< a/]"),
        ('labels.?"a"==b', 'column 8: expected field or quoted: [labels. >|?|< "a"==b]'),
        ("name==a,", "column 9: expected field or quoted: [name==a,]"),
        (",name", "column 1: expected field or quoted: [ >|,|< name]"),
        ("labels.", "column 8: expected field or quoted: [labels.]"),
        ("labels..a", "column 8: expected field or quoted: [labels. >|.|< a]"),
        ("  ", "column 3: expected field or quoted: [  ]"),
        ("note~=,name", "column 7: expected value or quoted: [note~= >|,|< name]"),
        ("note==", "column 7: expected value or quoted: [note==]"),
        ("note==.a", "column 7: expected value or quoted: [note== >|.|< a]"),
        ("labels.a/b==c", "column 9: quoted literal not terminated: [labels.a >|/|< b==c]"),
        ("labels.a==/b", "column 11: quoted literal not terminated: [labels.a== >|/|< b]"),
        ("note=a", "column 5: unsupported operator '=': [note >|=|< a]"),
        ("note===a", "column 5: unsupported operator '===': [note >|=|< ==a]"),
        ("note<!1", "column 5: unsupported operator '<!': [note >|<|< !1]"),
        ("note a", "column 6: expected an operator (==, !=, ~=, <, <=, >, >=): [note  >|a|< ]"),
        ("note==a b", "column 9: unexpected 'b': [note==a  >|b|< ]"),
        ("(a", "column 1: expected field or quoted: [ >|(|< a]"),
        ("a==\n", "column 5: expected value or quoted: [a==\\n]"),
    ],
)  # fmt: skip
def test_error_marks_the_column(text, message):
    with pytest.raises(InvalidFilterError) as caught:
        parse(text)
    assert str(caught.value) == message
    assert isinstance(caught.value, InvalidError)


def test_regular_expression_that_does_not_compile_is_refused_when_it_is_read():
    with pytest.raises(InvalidFilterError, match="does not compile") as caught:
        parse("name==a,note~=(b")
    assert caught.value.where == "column 15"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a=b", "write =="),
        ("labels.a/b", 'labels."example.org/key"'),
        (r"a~=/\d/", r"\\d"),
        ("a==.b", "quote a value"),
    ],
)
def test_hint_says_what_to_write(text, hint):
    with pytest.raises(InvalidFilterError) as caught:
        parse(text)
    assert hint in caught.value.hint


def test_message_shows_the_neighbourhood_of_a_long_filter():
    with pytest.raises(InvalidFilterError) as caught:
        parse("a" * 100 + "=" + "b" * 100)
    assert f"[…{'a' * 40} >|=|< {'b' * 40}…]" in str(caught.value)


def test_limits_are_inclusive():
    assert parse("a==" + "b" * (MAX_FILTER_LENGTH - 3)).alternatives
    assert len(parse(",".join(["a"] * MAX_SELECTORS)).alternatives[0]) == MAX_SELECTORS
    assert len(parse(*["a"] * MAX_FILTERS).alternatives) == MAX_FILTERS


@pytest.mark.parametrize(
    ("filters", "limit"),
    [
        (["a==" + "b" * (MAX_FILTER_LENGTH - 2)], "MAX_FILTER_LENGTH"),
        ([",".join(["a"] * (MAX_SELECTORS + 1))], "MAX_SELECTORS"),
        (["a"] * (MAX_FILTERS + 1), "MAX_FILTERS"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(filters, limit):
    with pytest.raises(LimitExceededError) as caught:
        parse(*filters)
    assert caught.value.limit == limit
