"""Edits of configs, field by field; what is not named stays byte for byte."""

import json
from datetime import UTC, datetime

import pytest

from orlop.editing import CLEARABLE, ConfigEdit
from orlop.errors import InvalidError
from orlop.spec import ImageConfig
from orlop.spec.descriptor import MAX_ANNOTATIONS

UNKNOWN = {
    "Shell": ["/bin/bash", "-c"],
    "OnBuild": None,
    "ArgsEscaped": True,
    "Memory": 2**53 + 1,
    "x-own": {"b": [1, 2.5, None, "ü"], "a": {}},
}
CONTAINER = {
    "User": "u:g",
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Env": ["PATH=/bin", "A=1", "EMPTY=", "BARE"],
    "Entrypoint": ["/init"],
    "Cmd": ["run", "-x"],
    "Volumes": {"/data": {}, "/log": {}},
    "WorkingDir": "/srv",
    "Labels": {"a": "1", "b": "2"},
    "StopSignal": "SIGINT",
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5},
    **UNKNOWN,
}
TOP = {"x-top": {"z": 1, "a": [True]}, "docker_version": "20"}
DOCUMENT = {
    "created": "2024-01-02T03:04:05Z",
    "author": "them",
    "architecture": "arm",
    "os": "linux",
    "os.version": "5",
    "variant": "v7",
    "config": CONTAINER,
    "rootfs": {"type": "layers", "diff_ids": [], "x-rootfs": 1},
    "history": [],
    **TOP,
}
BASE = ImageConfig.decode(json.dumps(DOCUMENT).encode())


def edited(**values):
    return json.loads(ConfigEdit.of(**values).config(BASE).raw)


def container(**values):
    return edited(**values)["config"]


@pytest.mark.parametrize(
    ("values", "field", "expected"),
    [
        ({"user": "0:0"}, "User", "0:0"),
        ({"user": ""}, "User", None),
        ({"env": {"A": "2"}}, "Env", ["PATH=/bin", "A=2", "EMPTY=", "BARE"]),
        ({"env": {"NEW": "a=b"}}, "Env", ["PATH=/bin", "A=1", "EMPTY=", "BARE", "NEW=a=b"]),
        ({"env": {"BARE": ""}}, "Env", ["PATH=/bin", "A=1", "EMPTY=", "BARE="]),
        ({"unset_env": ["A", "BARE", "NONE"]}, "Env", ["PATH=/bin", "EMPTY="]),
        ({"unset_env": ["A"], "env": {"A": "3"}}, "Env", ["PATH=/bin", "A=3", "EMPTY=", "BARE"]),
        ({"clear": ["env"], "env": {"B": "1"}}, "Env", ["B=1"]),
        ({"entrypoint": ["/a", "b c"]}, "Entrypoint", ["/a", "b c"]),
        ({"entrypoint": []}, "Entrypoint", None),
        ({"cmd": ["x"]}, "Cmd", ["x"]),
        ({"cmd": ()}, "Cmd", None),
        ({"working_dir": "/"}, "WorkingDir", "/"),
        ({"working_dir": r"C:\app"}, "WorkingDir", r"C:\app"),
        ({"labels": {"b": "3", "c": ""}}, "Labels", {"a": "1", "b": "3", "c": ""}),
        ({"unlabel": ["a", "none"]}, "Labels", {"b": "2"}),
        ({"clear": ["labels"], "labels": {"c": "4"}}, "Labels", {"c": "4"}),
        ({"exposed_ports": ["8080", "80/tcp"]}, "ExposedPorts",
         {"53/udp": {}, "80/tcp": {}, "8080": {}}),
        ({"unexpose": ["53/udp"]}, "ExposedPorts", {"80/tcp": {}}),
        ({"volumes": ["/v"]}, "Volumes", {"/data": {}, "/log": {}, "/v": {}}),
        ({"remove_volumes": ["/data"]}, "Volumes", {"/log": {}}),
        ({"stop_signal": "SIGRTMIN+3"}, "StopSignal", "SIGRTMIN+3"),
        ({"stop_signal": ""}, "StopSignal", None),
        ({"healthcheck": {"Test": ["NONE"]}}, "Healthcheck", {"Test": ["NONE"]}),
        ({"healthcheck": {}}, "Healthcheck", None),
    ],
)  # fmt: skip
def test_a_field_changes_and_no_other(values, field, expected):
    document = edited(**values)
    assert document["config"].get(field) == expected
    others = {name: value for name, value in document["config"].items() if name != field}
    assert others == {name: value for name, value in CONTAINER.items() if name != field}
    assert {**document, "config": None} == {
        **{name: value for name, value in DOCUMENT.items() if name != "history"}, "config": None,
    }  # fmt: skip


@pytest.mark.parametrize("field", [each for each in CLEARABLE if each != "annotations"])
def test_whatever_is_cleared_goes_alone(field):
    document = edited(clear=[field])
    flat = {**document, **document["config"]}
    before = {**DOCUMENT, **CONTAINER}
    name = {"env": "Env", "cmd": "Cmd", "author": "author"}.get(
        field, "".join(part.capitalize() for part in field.split("_"))
    )
    assert name in before
    assert before.keys() - flat.keys() == {name, "history"}


def test_unknown_fields_are_kept_byte_for_byte():
    raw = ConfigEdit.of(user="1").config(BASE).raw
    for name, value in {**UNKNOWN, **TOP}.items():
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        assert f'"{name}":{text}'.encode() in raw
    assert b'"x-rootfs":1' in raw


def test_a_config_without_a_container_gets_one_only_when_it_needs_it():
    bare = ImageConfig.decode(
        b'{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}'
    )
    assert ConfigEdit.of(author="me", clear=["env"]).config(bare).config is None
    assert ConfigEdit.of(cmd=["x"]).config(bare).config.cmd == ("x",)
    # umoci writes 0001-01-01 where there was no time.
    assert b"created" not in ConfigEdit.of(cmd=["x"]).config(bare).raw


def test_the_platform():
    assert edited(os="linux")["variant"] == "v7"
    assert "variant" not in edited(architecture="amd64")
    both = edited(architecture="arm64", variant="v8")
    assert (both["architecture"], both["variant"], both["os.version"]) == ("arm64", "v8", "5")
    assert "variant" not in edited(variant="")
    assert "os.version" not in edited(os="windows")


def test_times_come_as_text_datetime_or_seconds():
    moment = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    for given in ("2024-02-03T04:05:06Z", moment, moment.timestamp()):
        assert edited(created=given)["created"] == "2024-02-03T04:05:06Z"
    assert edited(created="2024-02-03T04:05:06.5+02:00")["created"].endswith("+02:00")


def test_a_variable_that_is_there_twice_is_set_once():
    config = ImageConfig.decode(
        json.dumps({**DOCUMENT, "config": {"Env": ["A=1", "B=1", "A=2", "C=1"]}}).encode()
    )
    assert ConfigEdit.of(env={"A": "3"}).config(config).config.env == ("B=1", "A=3", "C=1")
    assert ConfigEdit.of(env={"D": "3"}).config(config).config.env[:4] == config.config.env


def test_annotations():
    edit = ConfigEdit.of(annotations={"b": "2", "c": ""}, remove_annotations=["a"])
    assert edit.annotated({"a": "1", "b": "1"}) == {"b": "2", "c": ""}
    assert ConfigEdit.of(clear=["annotations"]).annotated({"a": "1"}) == {}


def test_what_an_edit_tells_of_itself_has_no_values_in_it():
    assert ConfigEdit.of(env={"TOKEN": "secret"}, user="").describe() == "orlop config user env"
    assert ConfigEdit.of().nothing
    assert not ConfigEdit.of(healthcheck={}).nothing


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"env": {"": "x"}}, "env"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"A\0": "x"}}, "env"),
        ({"env": {"A": "x\0"}}, "env A"),
        ({"env": {"A": "\udcff"}}, "env A"),
        ({"unset_env": ["A=b"]}, "env"),
        ({"user": "a:b:c"}, "user"),
        ({"user": "a b"}, "user"),
        ({"user": ":g"}, "user"),
        ({"exposed_ports": ["0"]}, "exposed_ports"),
        ({"exposed_ports": ["65536/tcp"]}, "exposed_ports"),
        ({"exposed_ports": ["80/icmp"]}, "exposed_ports"),
        ({"exposed_ports": ["80-90"]}, "exposed_ports"),
        ({"exposed_ports": ["٣"]}, "exposed_ports"),
        ({"volumes": ["data"]}, "volumes"),
        ({"volumes": ["/"]}, "volumes"),
        ({"volumes": ["/a/../.."]}, "volumes"),
        ({"volumes": [""]}, "volumes"),
        ({"working_dir": "srv"}, "working_dir"),
        ({"stop_signal": "TERM "}, "stop_signal"),
        ({"stop_signal": "sigterm"}, "stop_signal"),
        ({"labels": {"": "x"}}, "labels"),
        ({"annotations": {"": "x"}}, "annotations"),
        ({"annotations": {"a": "\udc00"}}, "annotations a"),
        ({"entrypoint": ["a\0b"]}, "entrypoint"),
        ({"created": "yesterday"}, "created"),
        ({"created": datetime(2024, 1, 1)}, "created"),
        ({"created": 1e20}, "created"),
        ({"os": ""}, "os"),
        ({"architecture": "a/b"}, "architecture"),
        ({"author": "\0"}, "author"),
    ],
)
def test_values_that_no_config_can_have(values, where):
    with pytest.raises(InvalidError) as caught:
        ConfigEdit.of(**values)
    assert caught.value.where == where


def test_mistakes_of_a_caller():
    with pytest.raises(TypeError, match="list of words"):
        ConfigEdit.of(cmd="echo hi")
    with pytest.raises(TypeError, match="must be a str"):
        ConfigEdit.of(env={"A": 1})
    with pytest.raises(ValueError, match="cannot be cleared"):
        ConfigEdit.of(clear=["history"])


def test_labels_have_a_limit():
    many = {str(at): "" for at in range(MAX_ANNOTATIONS)}
    with pytest.raises(InvalidError, match="more than"):
        ConfigEdit.of(labels=many).config(BASE)
