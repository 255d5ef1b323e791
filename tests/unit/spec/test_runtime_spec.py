"""The runtime configuration as a document, its defaults and its rules."""

import copy

import pytest

from orlop.errors import InvalidDocumentError
from orlop.spec.runtime import (
    DEFAULT_CAPABILITIES,
    RuntimeSpec,
    check_runtime,
    default_spec,
    iter_problems,
)

CALL = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
SYSCALL = "$.linux.seccomp.syscalls[0]"
ONE = {"containerID": 0, "hostID": 1, "size": 1}


def broken(change):
    """The places that are wrong once the default configuration has been changed."""
    document = copy.deepcopy(default_spec().document)
    change(document)
    return [problem.where for problem in iter_problems(document)]


def put(path, value):
    def change(document):
        *above, last = path.split(".")
        for name in above:
            document = document.setdefault(name, {}) if name else document
        document[last] = value

    return change


def test_the_default_configuration_breaks_no_rule():
    assert list(iter_problems(default_spec().document)) == []


def test_every_runtime_knows_the_version():
    """crun before 1.9 refuses a configuration of version 1.2 or later."""
    assert default_spec().document["ociVersion"] == "1.0.2"


def test_the_defaults_are_narrow():
    document = default_spec().document
    process = document["process"]
    assert process["terminal"] is False
    assert process["noNewPrivileges"] is True
    assert set(process["capabilities"]) == {"bounding", "effective", "permitted"}
    assert process["capabilities"]["bounding"] == sorted(DEFAULT_CAPABILITIES)
    assert len(DEFAULT_CAPABILITIES) == 14
    kinds = {each["type"] for each in document["linux"]["namespaces"]}
    assert kinds == {"pid", "ipc", "uts", "mount", "network", "cgroup"}
    places = [each["destination"] for each in document["mounts"]]
    assert places == [
        "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup",
    ]  # fmt: skip
    options = {each["destination"]: each["options"] for each in document["mounts"]}
    assert "ro" in options["/sys"]
    assert "ro" in options["/sys/fs/cgroup"]
    assert "/proc/kcore" in document["linux"]["maskedPaths"]
    assert "/proc/sys" in document["linux"]["readonlyPaths"]


def test_the_open_files_fit_the_hard_limit():
    [limit] = default_spec(open_files=512).document["process"]["rlimits"]
    assert (limit["soft"], limit["hard"]) == (512, 512)


def test_each_default_configuration_is_its_own():
    default_spec().document["process"]["env"].append("A=b")
    assert "A=b" not in default_spec().document["process"]["env"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (put("ociVersion", ""), "$.ociVersion"),
        (put("ociVersion", None), "$.ociVersion"),
        (put("root", None), "$.root"),
        (put("root.path", ""), "$.root.path"),
        (put("root.path", 1), "$.root.path"),
        (put("root.readonly", "yes"), "$.root.readonly"),
        (put("process.cwd", ""), "$.process.cwd"),
        (put("process.cwd", "srv"), "$.process.cwd"),
        (put("process.args", []), "$.process.args"),
        (put("process.args", None), "$.process.args"),
        (put("process.args", ["sh", 1]), "$.process.args[1]"),
        (put("process.args", ["a\0b"]), "$.process.args[0]"),
        (put("process.env", ["A=b", "novalue"]), "$.process.env[1]"),
        (put("process.env", ["=b"]), "$.process.env[0]"),
        (put("process.env", "A=b"), "$.process.env"),
        (put("process.user", None), "$.process.user"),
        (put("process.user.uid", -1), "$.process.user.uid"),
        (put("process.user.uid", 2**32 - 1), "$.process.user.uid"),
        (put("process.user.uid", True), "$.process.user.uid"),
        (put("process.user.gid", "0"), "$.process.user.gid"),
        (put("process.user.additionalGids", [1, -2]), "$.process.user.additionalGids[1]"),
        (put("process.terminal", 1), "$.process.terminal"),
        (put("process.capabilities.other", []), "$.process.capabilities.other"),
        (put("process.capabilities.bounding", ["KILL"]), "$.process.capabilities.bounding[0]"),
        (put("process.oomScoreAdj", 1001), "$.process.oomScoreAdj"),
        (
            put("process.rlimits", [{"type": "RLIMIT_FOO", "soft": 1, "hard": 1}]),
            "$.process.rlimits[0].type",
        ),
        (
            put("process.rlimits", [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]),
            "$.process.rlimits[0].soft",
        ),
        (
            put("process.rlimits", [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2),
            "$.process.rlimits[1].type",
        ),
        (put("hostname", "x" * 65), "$.hostname"),
        (put("mounts", [{"type": "tmpfs"}]), "$.mounts[0].destination"),
        (put("mounts", [{"destination": "data"}]), "$.mounts[0].destination"),
        (put("mounts", [{"destination": "/a", "options": "ro"}]), "$.mounts[0].options"),
        (put("mounts", [{"destination": "/a", "options": [""]}]), "$.mounts[0].options[0]"),
        (put("annotations", {"a": 1}), "$.annotations.a"),
        (put("annotations", {"": "b"}), "$.annotations"),
        (put("hooks", {"never": []}), "$.hooks.never"),
        (put("hooks", {"poststop": [{"path": "x"}]}), "$.hooks.poststop[0].path"),
        (
            put("hooks", {"poststop": [{"path": "/x", "timeout": 0}]}),
            "$.hooks.poststop[0].timeout",
        ),
        (put("linux.namespaces", [{"type": "mount"}] * 2), "$.linux.namespaces[1].type"),
        (put("linux.namespaces", [{"type": "net"}]), "$.linux.namespaces[0].type"),
        (put("linux.namespaces", []), "$.linux.namespaces"),
        (put("linux.uidMappings", [ONE]), "$.linux.uidMappings"),
        (put("linux.devices", [{"type": "x", "path": "/dev/x"}]), "$.linux.devices[0].type"),
        (put("linux.devices", [{"type": "c", "path": "/dev/x"}]), "$.linux.devices[0].major"),
        (put("linux.maskedPaths", ["proc"]), "$.linux.maskedPaths[0]"),
        (put("linux.rootfsPropagation", "public"), "$.linux.rootfsPropagation"),
        (put("linux.resources.memory", {"limit": "64M"}), "$.linux.resources.memory.limit"),
        (put("linux.resources.memory", {"limit": 9, "swap": 8}), "$.linux.resources.memory.swap"),
        (put("linux.resources.cpu", {"shares": -1}), "$.linux.resources.cpu.shares"),
        (put("linux.resources.pids", {}), "$.linux.resources.pids.limit"),
        (
            put("linux.resources.devices", [{"allow": True, "access": "rx"}]),
            "$.linux.resources.devices[0].access",
        ),
        (put("linux.seccomp", {}), "$.linux.seccomp.defaultAction"),
        (put("linux.seccomp.architectures", ["amd64"]), "$.linux.seccomp.architectures[0]"),
        (put("linux.seccomp.syscalls", [{}]), "$.linux.seccomp.syscalls[0].names"),
        (put("linux.seccomp.syscalls", [{"names": []}]), "$.linux.seccomp.syscalls[0].names"),
        (put("linux.seccomp.syscalls", [CALL | {"action": "no"}]), f"{SYSCALL}.action"),
        (put("linux.seccomp.syscalls", [CALL | {"errnoRet": -1}]), f"{SYSCALL}.errnoRet"),
        (put("linux.seccomp.syscalls", [CALL | {"args": [{"index": 6}]}]), f"{SYSCALL}.args[0].op"),
        (put("process.args", ["sh", None]), "$.process.args[1]"),
        (put("process.consoleSize", {"height": 24}), "$.process.consoleSize.width"),
        (put("process.rlimits", [{"type": []}]), "$.process.rlimits[0].type"),
        (put("linux.namespaces", [{"type": {}}]), "$.linux.namespaces[0].type"),
        (put("linux.rootfsPropagation", []), "$.linux.rootfsPropagation"),
        (put("linux.resources.devices", [{"major": "x"}]), "$.linux.resources.devices[0].major"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_by_its_place(change, where):
    assert where in broken(change)


def test_a_hostname_needs_a_namespace_of_its_own():
    spec = default_spec()
    spec.drop_namespace("uts")
    with pytest.raises(InvalidDocumentError, match="UTS") as caught:
        check_runtime(spec.document)
    assert caught.value.where == "$.hostname"


@pytest.mark.parametrize("document", [[], None, "spec", {}])
def test_whatever_is_checked_something_is_said(document):
    assert list(iter_problems(document))


def test_any_scalar_in_any_place_is_checked_without_failing():
    for path in ("root", "process", "mounts", "linux", "hooks", "annotations", "hostname"):
        for value in (0, "text", [], [1], {}, [[]], [{}], True, {"a": None}):
            list(iter_problems({**default_spec().document, path: value}))
    for path in ("namespaces", "resources", "devices", "seccomp", "uidMappings"):
        for value in (0, "text", [], [1], {}, [[]], [{}], True):
            document = default_spec().document
            document["linux"][path] = value
            list(iter_problems(document))


def test_sections_are_made_where_they_are_missing():
    spec = RuntimeSpec()
    spec.section("linux", "resources", "memory")["limit"] = 5
    spec.texts("process", "env").append("A=b")
    spec.entries("mounts").append({"destination": "/x"})
    assert spec.document == {
        "linux": {"resources": {"memory": {"limit": 5}}},
        "process": {"env": ["A=b"]},
        "mounts": [{"destination": "/x"}],
    }
    assert RuntimeSpec.decode(spec.encode()).document == spec.document


@pytest.mark.parametrize(
    ("ask", "where"),
    [
        (lambda spec: spec.section("a"), "$.a"),
        (lambda spec: spec.entries("b"), "$.b"),
        (lambda spec: spec.texts("b"), "$.b"),
        (lambda spec: spec.texts("c", "d"), "$.c.d"),
    ],
)
def test_what_is_of_another_kind_is_told_by_its_place(ask, where):
    spec = RuntimeSpec({"a": 1, "b": [None], "c": {"d": {}}})
    with pytest.raises(InvalidDocumentError) as caught:
        ask(spec)
    assert caught.value.where == where


def test_a_mount_takes_the_place_of_the_one_before():
    spec = default_spec()
    count = len(spec.mounts)
    spec.add_mount("/sys", "none", "/sys", ["rbind"])
    assert len(spec.mounts) == count
    assert spec.mount_at("/sys")["options"] == ["rbind"]
    spec.drop_mount("/sys")
    assert spec.mount_at("/sys") is None
    spec.add_mount("/sys", "none", "/sys")
    assert spec.mounts[-1] == {"destination": "/sys", "type": "none", "source": "/sys"}


def test_removing_what_is_not_there_does_nothing():
    spec = RuntimeSpec({"a": 1})
    spec.remove("a", "b")
    spec.remove("x", "y")
    spec.remove("a")
    assert spec.document == {}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (put("process.args", ["echo", "\udcff"]), "$.process.args[1]"),
        (put("process.env", ["A=\udcff"]), "$.process.env[0]"),
        (put("process.cwd", "/\udcff"), "$.process.cwd"),
        (
            put("mounts", [{"destination": "/x", "source": "/\udcff", "options": ["bind"]}]),
            "$.mounts[0].source",
        ),
        (put("annotations", {"\udcff": "x"}), "$.annotations"),
    ],
)
def test_what_no_json_can_hold_is_named_by_its_place(change, where):
    assert broken(change) == [where]
