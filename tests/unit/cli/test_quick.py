"""What is read at a glance means the same to cyclopts, which reads all command lines."""

import inspect
import subprocess
import sys

import hypothesis.strategies as st
import pytest
from cyclopts import CycloptsError
from hypothesis import given, settings

from orlop.cli.full import app
from orlop.cli.quick import _Reader, end_options, load, read
from support.commands import ALL_COMMANDS

VALUES = ["a", "b:1", "1", "0.5", "12", "json", "table", "none", "missing", "x=y", "-", "", "/tmp"]
ODD = ["--", "--help", "-h", "--root", "--run=x", "--storage-driver", "vfs", "--no-journal", "-it"]


def by_cyclopts(words):
    """What cyclopts makes of a command line: common options, function, and its arguments."""
    how = {"exit_on_error": False, "print_error": False}
    try:
        _, common, _ = app.meta.parse_args(end_options(words), **how)
        function, bound, _ = app.parse_args(list(common.args), **how)
    except CycloptsError:
        return None
    bound.apply_defaults()
    return dict(common.kwargs), function.__qualname__, bound.arguments


def by_glance(words):
    call = read(words)
    if call is None:
        return None
    bound = inspect.signature(call.function).bind(*call.arguments, **call.options)
    bound.apply_defaults()
    return call.common, call.function.__qualname__, bound.arguments


@st.composite
def command_lines(draw):
    words, command = draw(st.sampled_from(ALL_COMMANDS))
    options = [*_Reader(load(command))._options]
    word = st.sampled_from([*options, *options, *VALUES, *ODD])
    glued = st.builds("{}={}".format, st.sampled_from(options or ["-q"]), st.sampled_from(VALUES))
    given_value = st.tuples(st.sampled_from(options or ["-q"]), st.sampled_from(VALUES)).map(list)
    pieces = st.lists(word.map(lambda each: [each]) | glued.map(lambda each: [each]) | given_value,
                      max_size=6)  # fmt: skip
    before = draw(st.sampled_from([[], [], ["--root", "r"], ["--run=x", "--root=r"], ["--root="]]))
    return [*before, *words, *(each for piece in draw(pieces) for each in piece)]


@given(command_lines())
@settings(max_examples=1500, deadline=None)
def test_it_means_the_same(words):
    found = by_glance(words)
    if found is not None:
        assert found == by_cyclopts(words)


@pytest.mark.parametrize(
    "words",
    [
        "images",
        "--root /r --run /x images -q",
        "run --rm box -- sh -c true",
        "run -it --name a -e A=b -e C box sh",
        "run --rm --memory=256M --timeout 1.5 --pids-limit 7 box",
        "disk box -o root.ext4 --fs ext4 --size +1G",
        "image create a --name b",
        "bundle create a ./b -e A=b -v /x:/y:ro -e C=d --memory 1G",
        "layer name add a b c",
        "copy store:a oci:b",
        "config a --tag b --env A=1 --env B=2 --user 5",
        "pull a --platform linux/arm64 -q",
    ],
)
def test_what_is_typed_daily_is_read_at_a_glance(words):
    found = by_glance(words.split())
    assert found is not None
    assert found == by_cyclopts(words.split())


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("box grep -q root", "grep -q root"),
        ("--rm box ls --help", "ls --help"),
        ("box sh -c exit --rm", "sh -c exit --rm"),
        ("-e A=b --memory=1G box --rm", "--rm"),
        ("box -- ls -l", "ls -l"),
        ("box ls -- -l", "ls -- -l"),
        ("box -- -- x", "-- x"),
        ("box", ""),
        ("box --", ""),
        ("-it -v /a:/b box sh -i", "sh -i"),
    ],
)
@pytest.mark.parametrize("before", ["", "--plain-http --ca-file /x --root /r "])
def test_what_follows_the_image_is_its_command(words, command, before):
    """Whichever of the two reads it, and whatever it looks like."""
    line = f"run {before}{words}".split()
    found = [by_cyclopts(line)] if before else [by_cyclopts(line), by_glance(line)]
    for _, name, arguments in found:
        assert (name, arguments["image"]) == ("run", "box")
        assert arguments["command"] == tuple(command.split())


@pytest.mark.parametrize(
    ("words", "command"),
    [("make -j2 -- x", "make -j2 -- x"), ("-- ls -l", "ls -l"), ("ls --help", "ls --help")],
)
def test_a_command_in_a_namespace(words, command):
    for found in (by_cyclopts(f"unshare {words}".split()), by_glance(f"unshare {words}".split())):
        assert found[2]["command"] == tuple(command.split())


@pytest.mark.parametrize(
    "words",
    [
        "", "images --help", "--version", "images --nonsense", "nonsense", "layer", "images a",
        "run", "run -- ", "run --name a --name b box", "run --rm=yes box",
        "disk box -o a --fs fat", "run --timeout soon box", "run --name= box", "run --name",
        "disk box -o a --no-journal", "run -ie box", "run --pids-limit -1 box",
        "images --root r", "run --plain-http box", "layer --help ls", "--root", "--root -q images",
    ],
)  # fmt: skip
def test_what_may_be_wrong_or_mean_more_is_left_to_cyclopts(words):
    assert read(words.split()) is None


def test_an_empty_word_is_left_to_cyclopts():
    assert read(["run", "box", "--", ""]) is None


def test_a_plain_command_line_does_not_load_cyclopts(tmp_path):
    code = (
        "import sys\nfrom orlop.cli.main import main\n"
        f"main(['--root', {str(tmp_path / 'r')!r}, '--run', {str(tmp_path / 'x')!r}, 'images'])\n"
        "print('cyclopts' in sys.modules, 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False False"
