"""Filters mean to orlop what they mean to containerd: its leases are chosen by both."""

import random
import re
import subprocess
import time

import pytest

from orlop.errors import InvalidFilterError
from orlop.filters import labels_value, parse
from support.marks import needs_tools

pytestmark = needs_tools("containerd", "ctr")

ROUNDS = 500
LEASES = {
    "brig": {"sail": "square"},
    "sloop": {},
    "hoy": {"sail": "set", "two.words": "set"},
    "yawl": {"mast": "one", "note": "no masts alas"},
    "hulk": {"a/b": "x", "sail": "jib_and.main-sail"},
}
SEEDS = [
    "id==brig", "id!=brig", "id", "labels.sail", "labels.sail==set", "labels.sail~=s.t",
    "labels.nothing!=x", "labels.note~=^$", 'labels."a/b"==x', "id~=/^h/,labels.sail",
    "labels.two.words==set", 'labels."two.words"', 'labels.note=="no masts alas"', "labels.a/b==x",
    "labels.sail~=|q|", "labels.sail=set", "labels.sail==jib_and.main-sail", "id~=/^[hy]{1,2}/",
    r'labels."\x73ail"=="\163\u0065t"', "id==brig,", "labels.", "id~=,labels.sail",
]  # fmt: skip
PIECES = [
    "==", "!=", "~=", "=", "~", "!", ",", ".", '"', "/", "|", "'", "`", "\\", " ", "\n", "\t", "é",
    '"set"', "/s.t/", "|s|", "^", "$", "*", "?", "(", ")", "[a-z]+", r"\d", r"/\\d/", r'"\q"', "<",
    "x{1,2}", "[[:alpha:]]", r"\z", r"\Q.\E", "s$", "(?i)SET", r"\w+", "set", "labels.", "id", "#",
]  # fmt: skip


@pytest.fixture(scope="module")
def leases(tmp_path_factory):
    """`ctr leases` of a containerd that runs for these tests only."""
    directory = tmp_path_factory.mktemp("ctd")
    config = directory / "config.toml"
    config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    places = ["--root", directory / "root", "--state", directory / "state"]
    command = ["containerd", "-c", config, *places, "-a", directory / "socket", "-l", "error"]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield lambda *arguments: subprocess.run(
            ["ctr", "-a", directory / "socket", "leases", *arguments],
            check=False, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def theirs(leases):
    """The leases that containerd chooses, or the text of its error."""
    deadline = time.monotonic() + 20
    while leases("ls").returncode and time.monotonic() < deadline:
        time.sleep(0.05)
    for name, labels in LEASES.items():
        pairs = [f"{key}={value}" for key, value in labels.items()]
        assert leases("create", "--id", name, *pairs).returncode == 0

    def choose(text):
        done = leases("ls", "--quiet", "--", text)
        return sorted(done.stdout.split()) if done.returncode == 0 else done.stderr

    return choose


def ours(text):
    """The leases that orlop chooses, or its error."""
    try:
        found = parse(text)
    except InvalidFilterError as error:
        return error
    return sorted(name for name, labels in LEASES.items() if found(look(name, labels)))


def look(name, labels):
    def field(path):
        if path[0] == "labels":
            return labels_value(labels, path)
        return name if path == ("id",) else None

    return field


def mutate(source):
    text = source.choice(SEEDS)
    for _ in range(source.randint(0, 2)):
        at = source.randrange(len(text) + 1)
        text = text[:at] + source.choice(PIECES) + text[at + source.randint(0, 2) :]
    return text


def is_meant(text, found, expected):
    """Whether the answers differ because orlop wants it so."""
    if isinstance(expected, str):
        # White space may stand behind any word, and sizes and times are compared.
        return re.search(r"[\s<]", text) is not None
    return is_pattern_refused(found)


def is_pattern_refused(found):
    """Whether a pattern does not compile; to containerd it is one that is found nowhere."""
    return isinstance(found, InvalidFilterError) and "the regular expression" in str(found)


def check_column(text, expected, found):
    """The place is the same; of a broken escape, containerd says where its quotation begins."""
    marked = re.search(r"parse error: \[(.*?) >\|", expected, re.DOTALL)
    if marked is None or "escape" in str(found) or is_pattern_refused(found):
        return
    if not re.search(r"[\s<]", text):
        assert found.where == f"column {len(marked[1]) + 1}", (text, expected)


def test_the_same_records_are_chosen_and_the_same_filters_refused(theirs):
    source = random.Random(3)
    outcomes = {"chosen": 0, "refused": 0, "meant": 0}
    for text in [*SEEDS, *(mutate(source) for _ in range(ROUNDS))]:
        expected, found = theirs(text), ours(text)
        if isinstance(expected, str) and isinstance(found, InvalidFilterError):
            assert "parse error" in expected
            check_column(text, expected, found)
            outcomes["refused"] += 1
        elif found == expected:
            outcomes["chosen"] += 1
        else:
            assert is_meant(text, found, expected), (text, expected, found)
            outcomes["meant"] += 1
    assert min(outcomes["chosen"], outcomes["refused"]) > ROUNDS // 4
    assert outcomes["meant"] < ROUNDS // 10
