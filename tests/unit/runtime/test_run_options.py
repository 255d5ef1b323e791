"""How options of a run become options of a runtime configuration."""

import pytest

from orlop.bundle.finish import start_spec
from orlop.errors import InvalidError
from orlop.runtime import RunOptions, Volume


def document(args=(), **options):
    return start_spec(RunOptions(**options).spec_options(args)).document


def test_volumes_as_texts():
    assert Volume.parse("/a:/b") == Volume(source="/a", destination="/b")
    assert Volume.parse("a:/b:ro") == Volume(source="a", destination="/b", read_only=True)
    assert not Volume.parse("/a:/b:rw").read_only


@pytest.mark.parametrize("text", ["", "/a", ":/b", "/a:", "/a:/b:no", "/a:/b:ro:x"])
def test_texts_that_are_no_volumes(text):
    with pytest.raises(InvalidError, match="no volume"):
        Volume.parse(text)


def test_what_is_not_said_stays():
    assert document() == start_spec(()).document


def test_what_is_said():
    found = document(
        ["two"], entrypoint=("one",), env={"A": "b"}, working_dir="/tmp", read_only=True,
        memory="64M", cpus=0.5, pids=9, hostname="ship", network="host",
        volumes=["/tmp:/data:ro"], spec=[lambda spec: spec.document.update(mine=1)],
    )  # fmt: skip
    process, limits = found["process"], found["linux"]["resources"]
    assert (process["args"], process["cwd"]) == (["one", "two"], "/tmp")
    assert "A=b" in process["env"]
    assert found["root"]["readonly"]
    assert (limits["memory"]["limit"], limits["pids"]["limit"]) == (64 << 20, 9)
    assert limits["cpu"]["quota"] == 50_000
    assert (found["hostname"], found["mine"]) == ("ship", 1)
    assert {"type": "network"} not in found["linux"]["namespaces"]
    assert any(each["destination"] == "/data" for each in found["mounts"])


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e300, 10**400])
def test_times_that_are_none(timeout):
    with pytest.raises(InvalidError, match="no time"):
        RunOptions(timeout=timeout)


def test_an_empty_hostname():
    with pytest.raises(InvalidError, match="empty"):
        RunOptions(hostname="")


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0"}])
def test_variables_that_are_none(env):
    with pytest.raises(InvalidError, match="no variable"):
        RunOptions(env=env)


def test_any_number_of_processes():
    assert document(pids=-1) == document()


@pytest.mark.parametrize("words", ["ls -l", b"ls"])
def test_one_text_is_not_taken_for_its_letters(words):
    with pytest.raises(TypeError, match="not one text"):
        RunOptions(entrypoint=words)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"network": "bridge"}, InvalidError),
        ({"network": "Host"}, InvalidError),
        ({"env": ["A=b"]}, TypeError),
        ({"user": 1000}, TypeError),
    ],
)
def test_values_that_are_none(options, error):
    with pytest.raises(error):
        RunOptions(**options)
