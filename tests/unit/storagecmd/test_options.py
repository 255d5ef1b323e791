"""Command lines as containers-storage reads them."""

import pytest

from orlop.storagecmd.options import HelpWanted, Kind, Option, UsageError, parse

OPTIONS = (
    Option(names=("--graph", "-g"), help=""),
    Option(names=("--id", "-i"), help=""),
    Option(names=("--digest", "-d"), help=""),
    Option(names=("--name", "-n"), help="", kind=Kind.LIST),
    Option(names=("--json", "-j"), help="", kind=Kind.FLAG),
    Option(names=("--tree", "-t"), help="", kind=Kind.FLAG),
    Option(names=("--read-only", "--ro", "-r"), help="", kind=Kind.FLAG),
)


@pytest.mark.parametrize(
    "words",
    [
        ["--id", "x"], ["--id=x"], ["-i", "x"], ["-i=x"], ["--id='x'"], ['--id="x"'],
        ["--id", "y", "-i", "x"],
    ],
)  # fmt: skip
def test_a_value_is_found_however_it_is_written(words):
    assert parse(OPTIONS, words).text("id") == "x"


def test_what_was_not_given_is_empty():
    call = parse(OPTIONS, [])
    assert (call.text("id"), call.texts("name"), call.flag("json")) == ("", (), False)


def test_names_add_up():
    assert parse(OPTIONS, ["-n", "a", "--name=b"]).texts("name") == ("a", "b")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("-j", True), ("--json", True), ("--json=true", True), ("-j=1", True), ("--json=T", True),
        ("--json=false", False), ("--json=0", False), ("-j=F", False),
    ],
)  # fmt: skip
def test_flags_are_true_or_false(word, value):
    assert parse(OPTIONS, [word]).flag("json") is value


def test_flags_may_share_a_word():
    call = parse(OPTIONS, ["-tj", "rest"])
    assert call.flag("tree")
    assert call.flag("json")
    assert call.arguments == ("rest",)


def test_a_value_follows_flags_in_one_word():
    call = parse(OPTIONS, ["-ji", "x", "rest"])
    assert (call.flag("json"), call.text("id"), call.arguments) == (True, "x", ("rest",))


def test_of_one_dash_letters_come_first_and_long_names_then():
    both = parse(OPTIONS, ["-id", "x", "y"])
    assert (both.text("id"), both.text("digest")) == ("x", "y")
    assert parse(OPTIONS, ["-json"]).flag("json")
    assert parse(OPTIONS, ["-graph", "/g", "rest"]).arguments == ("rest",)
    assert parse(OPTIONS, ["-name=a"]).texts("name") == ("a",)


def test_a_long_option_may_have_two_names():
    assert parse(OPTIONS, ["--ro"]).flag("read-only")


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        (["a", "-j"], ("a", "-j")), (["--", "-j"], ("-j",)), (["-j", "-", "b"], ("-", "b")),
        ([""], ("",)),
    ],
)  # fmt: skip
def test_options_end_at_the_first_argument(words, rest):
    assert parse(OPTIONS, words).arguments == rest


def test_what_was_given_before_the_verb_holds_behind_it():
    before = parse(OPTIONS, ["-g", "/g", "-n", "a", "--json"])
    call = parse(OPTIONS, ["-n", "b", "--json=false"], before.values)
    assert (call.text("graph"), call.texts("name"), call.flag("json")) == ("/g", ("a", "b"), False)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["--what"], ["flag provided but not defined: --what"]),
        (["-w"], ["flag provided but not defined: -w"]),
        (["-what"], ["flag provided but not defined: -what"]),
        (["--what=1"], ["flag provided but not defined: --what"]),
        (["--id"], ["flag needs an argument: --id"]),
        (["-i"], ["flag needs an argument: -i"]),
        (["-ji"], ["flag needs an argument: -i", "flag provided but not defined: -ji"]),
        (["-=x"], ["bad flag syntax: -=x"]),
        (["--json=maybe"], ['invalid boolean value "maybe" for  --json: neither true nor false']),
    ],
)
def test_what_cannot_be_understood_is_told(words, lines):
    with pytest.raises(UsageError) as caught:
        parse(OPTIONS, words)
    assert list(caught.value.lines) == lines


@pytest.mark.parametrize("word", ["--help", "-h", "-help"])
def test_help_is_a_wish(word):
    with pytest.raises(HelpWanted):
        parse(OPTIONS, [word])
