import pytest

from orlop.errors import InvalidFilterError
from orlop.filters.scan import Kind, Scanner

FIELD, QUOTED, SEPARATOR = Kind.FIELD, Kind.QUOTED, Kind.SEPARATOR
OPERATOR, VALUE, OTHER, END = Kind.OPERATOR, Kind.VALUE, Kind.OTHER, Kind.END


def scan(text):
    """Kind, column and text of each word, and what it says where it is quoted."""
    scanner = Scanner(text)
    while True:
        token = scanner.scan()
        yield token.kind, token.at + 1, token.text
        if token.kind is END:
            assert scanner.scan() == token
            return


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [(END, 1, "")]),
        ("size", [(FIELD, 1, "size"), (END, 5, "")]),
        ("_9a", [(FIELD, 1, "_9a"), (END, 4, "")]),
        (
            "name==one,kind!=two",
            [
                (FIELD, 1, "name"), (OPERATOR, 5, "=="), (VALUE, 7, "one"), (SEPARATOR, 10, ","),
                (FIELD, 11, "kind"), (OPERATOR, 15, "!="), (VALUE, 17, "two"), (END, 20, ""),
            ],
        ),
        (
            "labels.a=b,c.d~=e",
            [
                (FIELD, 1, "labels"), (SEPARATOR, 7, "."), (FIELD, 8, "a"), (OPERATOR, 9, "="),
                (VALUE, 10, "b"), (SEPARATOR, 11, ","), (FIELD, 12, "c"), (SEPARATOR, 13, "."),
                (FIELD, 14, "d"), (OPERATOR, 15, "~="), (VALUE, 17, "e"), (END, 18, ""),
            ],
        ),
        (
            "name~=[xyz]+,a=b",
            [
                (FIELD, 1, "name"), (OPERATOR, 5, "~="), (VALUE, 7, "[xyz]+"), (SEPARATOR, 13, ","),
                (FIELD, 14, "a"), (OPERATOR, 15, "="), (VALUE, 16, "b"), (END, 17, ""),
            ],
        ),
        (
            r"name~=[xyz]\+",
            [(FIELD, 1, "name"), (OPERATOR, 5, "~="), (VALUE, 7, r"[xyz]\+"), (END, 14, "")],
        ),
        (
            "n~=/[x]{0,2}/,a",
            [
                (FIELD, 1, "n"), (OPERATOR, 2, "~="), (QUOTED, 4, "/[x]{0,2}/"),
                (SEPARATOR, 14, ","), (FIELD, 15, "a"), (END, 16, ""),
            ],
        ),
        (
            "n~=鯨,a",
            [
                (FIELD, 1, "n"), (OPERATOR, 2, "~="), (VALUE, 4, "鯨"), (SEPARATOR, 5, ","),
                (FIELD, 6, "a"), (END, 7, ""),
            ],
        ),
        (
            "n~=|鯨|,a",
            [
                (FIELD, 1, "n"), (OPERATOR, 2, "~="), (QUOTED, 4, "|鯨|"), (SEPARATOR, 7, ","),
                (FIELD, 8, "a"), (END, 9, ""),
            ],
        ),
        (
            r'n~="a\n\tb"',
            [(FIELD, 1, "n"), (OPERATOR, 2, "~="), (QUOTED, 4, r'"a\n\tb"'), (END, 12, "")],
        ),
        (
            "a = b    ",
            [(FIELD, 1, "a"), (OPERATOR, 3, "="), (VALUE, 5, "b"), (END, 10, "")],
        ),
        (
            "a.b==some_value.with-dots",
            [
                (FIELD, 1, "a"), (SEPARATOR, 2, "."), (FIELD, 3, "b"), (OPERATOR, 4, "=="),
                (VALUE, 6, "some_value.with-dots"), (END, 26, ""),
            ],
        ),
        ("cut=", [(FIELD, 1, "cut"), (OPERATOR, 4, "="), (END, 5, "")]),
        (
            "a=one two",
            [
                (FIELD, 1, "a"), (OPERATOR, 2, "="), (VALUE, 3, "one"), (FIELD, 7, "two"),
                (END, 10, ""),
            ],
        ),
        (
            '"a b".c==d',
            [
                (QUOTED, 1, '"a b"'), (SEPARATOR, 6, "."), (FIELD, 7, "c"), (OPERATOR, 8, "=="),
                (VALUE, 10, "d"), (END, 11, ""),
            ],
        ),
        (
            "a==,b!=c",
            [
                (FIELD, 1, "a"), (OPERATOR, 2, "=="), (SEPARATOR, 4, ","), (FIELD, 5, "b"),
                (OPERATOR, 6, "!="), (VALUE, 8, "c"), (END, 9, ""),
            ],
        ),
        (
            r"a~=/b\/c/,d",
            [
                (FIELD, 1, "a"), (OPERATOR, 2, "~="), (QUOTED, 4, r"/b\/c/"), (SEPARATOR, 10, ","),
                (FIELD, 11, "d"), (END, 12, ""),
            ],
        ),
        (
            "a~=|b/c|,d",
            [
                (FIELD, 1, "a"), (OPERATOR, 2, "~="), (QUOTED, 4, "|b/c|"), (SEPARATOR, 9, ","),
                (FIELD, 10, "d"), (END, 11, ""),
            ],
        ),
        (
            'a~=[b]{0}/"|x',
            [(FIELD, 1, "a"), (OPERATOR, 2, "~="), (VALUE, 4, '[b]{0}/"|x'), (END, 14, "")],
        ),
        ("==.b", [(OPERATOR, 1, "=="), (SEPARATOR, 3, "."), (FIELD, 4, "b"), (END, 5, "")]),
        ("a=!~==b", [(FIELD, 1, "a"), (OPERATOR, 2, "=!~=="), (VALUE, 7, "b"), (END, 8, "")]),
        ("a>=5", [(FIELD, 1, "a"), (OPERATOR, 2, ">="), (VALUE, 4, "5"), (END, 5, "")]),
        ("a < 5", [(FIELD, 1, "a"), (OPERATOR, 3, "<"), (VALUE, 5, "5"), (END, 6, "")]),
        ("a>>5", [(FIELD, 1, "a"), (OPERATOR, 2, ">"), (VALUE, 3, ">5"), (END, 5, "")]),
        ("a==<b", [(FIELD, 1, "a"), (OPERATOR, 2, "=="), (VALUE, 4, "<b"), (END, 6, "")]),
        ("a\u3000\xa0\tb", [(FIELD, 1, "a"), (FIELD, 5, "b"), (END, 6, "")]),
        ("a?", [(FIELD, 1, "a"), (OTHER, 2, "?"), (END, 3, "")]),
        ("ä", [(OTHER, 1, "ä"), (END, 2, "")]),
        ("a==\x1f", [(FIELD, 1, "a"), (OPERATOR, 2, "=="), (OTHER, 4, "\x1f"), (END, 5, "")]),
        ("'a'", [(OTHER, 1, "'"), (FIELD, 2, "a"), (OTHER, 3, "'"), (END, 4, "")]),
        ("`", [(OTHER, 1, "`"), (END, 2, "")]),
    ],
)  # fmt: skip
def test_words_have_kind_column_and_text(text, expected):
    assert list(scan(text)) == expected


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("a\0b", 2, "unexpected NUL"),
        ('"\0"', 2, "unexpected NUL"),
        ("a==\udcff", 4, "not UTF-8"),
        ("labels.example.org/key==v", 19, "quoted literal not terminated"),
        ('labels."a\nb"==v', 8, "quoted literal not terminated"),
        ('a=="b', 4, "quoted literal not terminated"),
        ('a=="b\\', 4, "quoted literal not terminated"),
        ('a=="b\\"', 4, "quoted literal not terminated"),
        ('a=="b\\\n"', 4, "quoted literal not terminated"),
        (r'labels."\g"', 9, "illegal escape sequence"),
        (r"a~=|\"|", 5, "illegal escape sequence"),
        (r'labels."\xaz"', 9, "illegal numeric escape sequence"),
        (r'"\400"', 2, "illegal numeric escape sequence"),
        (r'"\18"', 2, "illegal numeric escape sequence"),
        (r'"\u12g4"', 2, "illegal numeric escape sequence"),
        (r'"\ud800"', 2, "illegal numeric escape sequence"),
        (r'"\U00110000"', 2, "illegal numeric escape sequence"),
        (r'"\UFFFFFFFF"', 2, "illegal numeric escape sequence"),
        (r'"\xff"', 1, "not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_column(text, column, problem):
    with pytest.raises(InvalidFilterError, match=problem) as caught:
        list(scan(text))
    assert caught.value.where == f"column {column}"


def test_what_stands_before_a_broken_word_is_read():
    scanner = Scanner("labels.example.org/key==v")
    assert [scanner.scan().text for _ in range(5)] == ["labels", ".", "example", ".", "org"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('""', ""),
        ('"a, b"', "a, b"),
        (r'"\a\b\f\n\r\t\v\\"', "\a\b\f\n\r\t\v\\"),
        (r'"\""', '"'),
        (r"/\//", "/"),
        (r"|\||", "|"),
        ('"/|"', "/|"),
        (r'"\101\x42\u0043\U00000044"', "ABCD"),
        (r'"\xe9\xaf\xa8"', "鯨"),
        (r'"\351\257\250"', "鯨"),
        (r'"\U0001F40B"', "🐋"),
        (r'"\x00"', "\0"),
        ('"a\tb"', "a\tb"),
    ],
)
def test_escapes_are_read(text, value):
    assert Scanner(text).scan().value == value
