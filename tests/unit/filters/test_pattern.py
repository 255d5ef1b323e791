import pytest

from orlop.filters import literal_prefix
from orlop.filters.pattern import compile_pattern


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        ("b", ["abc"], ["ac"]),
        ("^a$", ["a"], ["a\n", "ab"]),
        (r"a\z", ["a"], ["a\n"]),
        ("(?m)^a$", ["a\n", "b\na\nc"], ["ab"]),
        (r"\Qa.b[\E+", ["xa.b[["], ["axb["]),
        (r"\Qa.b", ["a.b"], ["axb"]),
        ("[[:alpha:]]+[[:digit:]]", ["ab1"], ["1", "é1"]),
        ("^[[:upper:]_-]+$", ["A_-"], ["a", "[", ":"]),
        ("^[^[:space:]]+$", ["ab"], ["a b"]),
        ("^[]a]+$", ["]a"], ["b"]),
        ("^[^]a]+$", ["b"], ["]", "a"]),
        ("^[[]$", ["["], ["]"]),
        ("^[a&&b||c~~d]+$", ["a&b|c~d"], ["e"]),
        ("^[+--]+$", ["+,-"], ["."]),
        (r"^[\]\[$]+$", ["][$"], ["a"]),
        (r"^\d+$", ["12"], ["١٢"]),
        (r"^\w$", ["w"], ["é"]),
        ("(?i)BRIG", ["brig"], ["hoy"]),
        (r"\$\\", ["$\\"], ["$"]),
    ],
)  # fmt: skip
def test_patterns_mean_what_they_mean_to_re2(pattern, found, not_found):
    compiled = compile_pattern(pattern)
    assert [text for text in found + not_found if compiled.search(text)] == found


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", "a**", "[b-a]", "[", "[[", "[[:alpha:]", "[[:^alpha:]]", "[[:nothing:]]", r"\p{L}"),
        *("a{99999999999999999999}", "(" * 5000),
    ],
)
def test_what_does_not_compile_is_refused(pattern):
    with pytest.raises(ValueError, match="regular expression"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        (r"^docker\.io/library/", "docker.io/library/"),
        (r"^docker\.io/x+", "docker.io/x"),
        (r"^docker\.io/x*", "docker.io/"),
        ("^ab?c", "a"),
        ("^ab{0,2}", "a"),
        ("^abc$", "abc"),
        ("^a.c", "a"),
        (r"^a\\b", "a\\b"),
        (r"^a\dx", "a"),
        ("^(ab)", ""),
        ("^ab|cd", ""),
        ("(?i)^ab", ""),
        ("^(?i)ab", ""),
        ("abc", ""),
        ("", ""),
        ("^", ""),
        ("^[a]", ""),
    ],
)
def test_plain_beginning_of_a_pattern_is_known(pattern, prefix):
    assert literal_prefix(pattern) == prefix
