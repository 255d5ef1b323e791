"""What each option makes of the default configuration."""

import json
import os

import pytest

from orlop.bundle import options
from orlop.bundle.finish import finish_spec, start_spec
from orlop.bundle.host import CAPABILITIES, Host
from orlop.errors import (
    InvalidDocumentError,
    InvalidError,
    NotFoundError,
    UnsupportedError,
)
from orlop.idmap import IdMapping
from orlop.spec import ImageConfig
from orlop.spec.runtime import RuntimeSpec, check_runtime, default_spec

ALL = Host(2**41 - 1)


def made(*chosen, host=ALL):
    return start_spec(chosen, host)


def image(**fields):
    return ImageConfig.decode(
        json.dumps(
            {
                "os": "linux", "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": []}, **fields,
            }
        ).encode()
    )  # fmt: skip


def run_like(**config):
    return options.image_config(image(config=config))


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "args"),
    [
        (["/e", "x"], ["c"], ["/e", "x", "c"]),
        (["/e"], None, ["/e"]),
        (None, ["c", "d"], ["c", "d"]),
    ],
)
def test_cmd_is_appended_to_entrypoint(entrypoint, cmd, args):
    """conversion.md: the converter MUST append the value of Config.Cmd to Config.Entrypoint."""
    config = {"Entrypoint": entrypoint, "Cmd": cmd}
    assert made(run_like(**config)).document["process"]["args"] == args


def test_an_image_without_a_command_needs_one(tmp_path):
    spec = made(run_like())
    root = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(InvalidDocumentError) as caught:
        finish_spec(spec, root, ALL)
    os.close(root)
    assert caught.value.where == "$.process.args"


def test_command_keeps_the_entrypoint_and_args_do_not():
    config = run_like(Entrypoint=["/e"], Cmd=["c"])
    assert made(config, options.command("x")).document["process"]["args"] == ["/e", "x"]
    assert made(config, options.args("x")).document["process"]["args"] == ["x"]
    other = made(config, options.entrypoint("/f"), options.command("y"))
    assert other.document["process"]["args"] == ["/f", "y"]


def test_the_environment_is_the_images():
    """conversion.md: a default SHOULD NOT remove or change an entry; entries may be added."""
    spec = made(run_like(Env=["B=2", "PATH=/own", "A=1"], Cmd=["x"]))
    assert spec.document["process"]["env"] == ["B=2", "PATH=/own", "A=1"]
    [path] = made(run_like(Cmd=["x"])).document["process"]["env"]
    assert path.startswith("PATH=/usr/local/sbin")


def test_twins_and_malformed_entries_of_the_environment_are_dropped():
    """runc refuses an entry without `=`, and takes the last of twins."""
    spec = made(run_like(Env=["A=1", "novalue", "=x", "B=", "A=2", "C=x=y"], PATH=["x"]))
    assert spec.document["process"]["env"][:3] == ["A=2", "B=", "C=x=y"]


def test_variables_are_set_and_unset():
    spec = made(
        run_like(Env=["A=1", "B=2"]),
        options.env({"B": "3"}),
        options.env(["C=4", "bad"]),
        options.unset_env("A"),
    )
    found = [each for each in spec.document["process"]["env"] if not each.startswith("PATH=")]
    assert found == ["B=3", "C=4"]


def test_the_directory_is_the_images():
    assert made(run_like(WorkingDir="/srv")).document["process"]["cwd"] == "/srv"
    assert made(run_like()).document["process"]["cwd"] == "/"
    moved = made(run_like(WorkingDir="/srv"), options.working_dir("/x"))
    assert moved.document["process"]["cwd"] == "/x"
    with pytest.raises(InvalidError):
        options.working_dir("x")


def test_the_annotations_that_an_image_stands_for():
    """conversion.md, "Annotation Fields"."""
    found = image(
        variant="v8", author="me", created="2026-01-02T03:04:05Z",
        **{"os.version": "6.1", "os.features": ["a", "b"]},
        config={
            "StopSignal": "SIGINT", "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "Labels": {"team": "sea", "empty": ""},
        },
    )  # fmt: skip
    prefix = "org.opencontainers.image."
    assert made(options.image_config(found)).document["annotations"] == {
        prefix + "os": "linux",
        prefix + "architecture": "amd64",
        prefix + "variant": "v8",
        prefix + "os.version": "6.1",
        prefix + "os.features": "a,b",
        prefix + "author": "me",
        prefix + "created": "2026-01-02T03:04:05Z",
        prefix + "stopSignal": "SIGINT",
        prefix + "exposedPorts": "53/udp,80/tcp",
        "team": "sea",
        "empty": "",
    }


def test_a_label_wins_over_what_is_derived():
    """conversion.md: the value specified in Config.Labels MUST take precedence."""
    key = "org.opencontainers.image.author"
    config = options.image_config(image(author="me", config={"Labels": {key: "you"}}))
    assert made(config).document["annotations"][key] == "you"


def test_absent_fields_are_no_annotations():
    found = made(run_like()).document["annotations"]
    assert set(found) == {"org.opencontainers.image.os", "org.opencontainers.image.architecture"}


def test_labels_that_runtimes_obey_are_left_out_and_noted():
    """crun writes to the file that `run.oci.hooks.stdout` names, as root."""
    labels = {"run.oci.hooks.stdout": "/etc/x", "org.systemd.property.A": "1", "ok": "1"}
    spec = made(run_like(Labels=labels))
    assert "ok" in spec.document["annotations"]
    assert not set(labels) - {"ok"} & set(spec.document["annotations"])
    assert len(spec.notes) == 2
    unsafe = options.image_config(image(config={"Labels": labels}), unsafe_labels=True)
    assert set(labels) <= set(made(unsafe).document["annotations"])


def test_volumes_become_mounts():
    spec = made(run_like(Volumes={"/data": {}, "rel": {}}))
    assert spec.mount_at("/data")["type"] == "tmpfs"
    assert "tmpcopyup" in spec.mount_at("/data")["options"]
    assert spec.mount_at("/rel") is not None
    found = image(config={"Volumes": {"/data": {}}})
    assert made(options.image_config(found, volumes="ignore")).mount_at("/data") is None


def test_what_is_mounted_over_a_volume_takes_its_place(tmp_path):
    spec = made(run_like(Volumes={"/data": {}}), options.bind(tmp_path, "/data"))
    assert spec.mount_at("/data")["source"] == str(tmp_path)
    assert sum(each["destination"] == "/data" for each in spec.mounts) == 1


def test_memory():
    assert options.read_memory("64M") == options.read_memory("64Mi") == 64 << 20
    assert options.read_memory("64MiB") == 64 << 20
    assert options.read_memory("64MB") == 64 * 10**6
    assert options.read_memory("1.5G") == 3 << 29
    assert options.read_memory("1048576") == 1 << 20
    spec = made(options.memory_limit("64M", swap="128M"))
    assert spec.document["linux"]["resources"]["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    for bad in ("", "x", "-1", "64Q", "12", 1000):
        with pytest.raises(InvalidError):
            options.memory_limit(bad)


@pytest.mark.parametrize(
    ("text", "quota", "shares"),
    [
        ("0.5", 50_000, 512), ("500m", 50_000, 512), ("2", 200_000, 2048), (1.5, 150_000, 1536),
        ("0.001", 1000, 2), ("1m", 1000, 2), ("1000", 100_000_000, 262_144),
    ],
)  # fmt: skip
def test_processors(text, quota, shares):
    found = made(options.cpu_limit(text)).document["linux"]["resources"]["cpu"]
    assert found == {"quota": quota, "period": 100_000, "shares": shares}


@pytest.mark.parametrize("bad", ["", "0", "x", "-1", "0.0001", "1e9", "٣"])
def test_what_is_no_number_of_processors(bad):
    with pytest.raises(InvalidError):
        options.cpu_limit(bad)


def test_processes():
    found = made(options.pids_limit(50)).document["linux"]["resources"]["pids"]
    assert found == {"limit": 50}
    limits = made(options.pids_limit(50), options.pids_limit(-1)).document["linux"]["resources"]
    assert "pids" not in limits
    with pytest.raises(InvalidError):
        options.pids_limit(0)


def test_the_hosts_network(tmp_path):
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 1.1.1.1\n")
    spec = made(options.host_network([str(resolv), str(tmp_path / "missing")]))
    assert spec.namespace("network") is None
    assert spec.mount_at(str(resolv))["options"][:2] == ["bind", "ro"]
    assert spec.mount_at(str(tmp_path / "missing")) is None
    assert spec.mount_at("/proc") is not None


def test_no_mount_namespace_is_no_container():
    """Without one, runtimes mount on the machine itself."""
    with pytest.raises(InvalidError):
        options.namespace("mount", shared=True)


def test_namespaces_are_joined_and_shared():
    spec = made(
        options.namespace("network", "/run/netns/blue"), options.namespace("pid", shared=True)
    )
    assert spec.namespace("network")["path"] == "/run/netns/blue"
    assert spec.namespace("pid") is None
    shared = made(options.namespace("uts", shared=True))
    assert "hostname" not in shared.document
    check_runtime(shared.document)


def test_a_hostname_comes_with_its_namespace():
    spec = made(options.namespace("uts", shared=True), options.hostname("box"))
    assert spec.document["hostname"] == "box"
    check_runtime(spec.document)


def test_rootless_asks_for_nothing_that_needs_privilege():
    spec = made(
        options.memory_limit("64M"), options.device("/dev/null"), options.rootless(1000, 1001)
    )
    linux = spec.document["linux"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 1001, "size": 1}]
    assert spec.namespace("user") is not None
    assert spec.namespace("network") is None
    assert "resources" not in linux
    assert "devices" not in linux
    for mount in spec.mounts:
        assert not [each for each in mount.get("options", ()) if each.startswith(("gid=", "uid="))]
    assert spec.mount_at("/sys/fs/cgroup") is None
    assert "rbind" in spec.mount_at("/sys")["options"]
    check_runtime(spec.document)


def test_a_user_namespace_on_the_hosts_network_has_the_hosts_sys(tmp_path):
    """The kernel gives a new sysfs to the owner of the network alone."""
    spec = made(
        options.user_namespace(IdMapping.parse(["0:100000:65536"])), options.host_network([])
    )
    root = os.open(tmp_path, os.O_RDONLY)
    finish_spec(spec, root, ALL)
    os.close(root)
    assert spec.mount_at("/sys")["type"] == "none"


def test_capabilities():
    spec = made(options.drop_capabilities("ALL"), options.add_capabilities("net_admin", "CAP_KILL"))
    for found in spec.document["process"]["capabilities"].values():
        assert found == ["CAP_KILL", "CAP_NET_ADMIN"]
    assert made(options.add_capabilities("ALL")).document["process"]["capabilities"][
        "bounding"
    ] == sorted(CAPABILITIES)
    for option in (options.add_capabilities, options.drop_capabilities):
        with pytest.raises(InvalidError):
            option("FLY")


def test_defaults_are_cut_to_what_this_process_has():
    chown_alone = Host(1)
    spec = made(host=chown_alone)
    assert spec.document["process"]["capabilities"]["bounding"] == ["CAP_CHOWN"]


def test_a_capability_that_cannot_be_given_is_refused_by_name(tmp_path):
    spec = made(options.add_capabilities("SYS_RESOURCE"), host=Host(1))
    root = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(UnsupportedError, match="CAP_SYS_RESOURCE"):
        finish_spec(spec, root, Host(1))
    os.close(root)


def test_limits_are_cut_to_the_hard_ones(tmp_path):
    hard = ALL.hard_limit("RLIMIT_NOFILE")
    spec = made(options.rlimit("nofile", 10**7), options.rlimit("RLIMIT_CORE", 0))
    root = os.open(tmp_path, os.O_RDONLY)
    finish_spec(spec, root, ALL)
    os.close(root)
    limits = {each["type"]: each for each in spec.document["process"]["rlimits"]}
    if hard is not None:
        assert limits["RLIMIT_NOFILE"]["hard"] == min(hard, 10**7)
    assert limits["RLIMIT_CORE"]["soft"] == 0
    with pytest.raises(InvalidError):
        options.rlimit("nofile", 2, 1)


def test_what_is_bound_has_to_be_there(tmp_path):
    with pytest.raises(NotFoundError, match="missing"):
        options.bind(tmp_path / "missing", "/data")
    for bad in ("data", "/", "//", "/x/.."):
        with pytest.raises(InvalidError):
            options.bind(tmp_path, bad)
    spec = made(options.bind(tmp_path, "/data/", read_only=True, options=("nosuid",)))
    assert spec.mount_at("/data")["options"] == ["rbind", "ro", "nosuid"]


def test_tmpfs():
    spec = made(options.tmpfs("/run", size=4096, mode=0o755))
    assert spec.mount_at("/run")["options"] == ["nosuid", "nodev", "mode=755", "size=4096"]


def test_devices(tmp_path):
    spec = made(options.device("/dev/null", "/dev/hole", access="r"))
    [device] = spec.document["linux"]["devices"]
    assert (device["path"], device["type"], device["major"], device["minor"]) == (
        "/dev/hole", "c", 1, 3,
    )  # fmt: skip
    rules = spec.document["linux"]["resources"]["devices"]
    assert rules[-1] == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}
    with pytest.raises(InvalidError):
        options.device(tmp_path)
    with pytest.raises(FileNotFoundError):
        options.device(tmp_path / "missing")


def test_seccomp_is_a_document_that_is_copied():
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}
    spec = made(options.seccomp(profile))
    profile["syscalls"].append(1)
    assert spec.document["linux"]["seccomp"] == {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}
    with pytest.raises(InvalidError):
        options.seccomp({})


def test_the_rest():
    spec = made(
        options.terminal(size=(24, 80)), options.read_only(tmp=True), options.cgroups_path("/a/b"),
        options.hook("poststop", "/bin/true", ["true"], environ=["A=b"], timeout=5),
        options.annotate({"k": "v"}), options.oom_score(5), options.privileges(gain=True),
    )  # fmt: skip
    document = spec.document
    assert document["process"]["terminal"] is True
    assert document["process"]["consoleSize"] == {"height": 24, "width": 80}
    assert "TERM=xterm" in document["process"]["env"]
    assert document["root"]["readonly"] is True
    assert spec.mount_at("/tmp")["type"] == "tmpfs"
    assert document["linux"]["cgroupsPath"] == "/a/b"
    assert document["hooks"]["poststop"] == [
        {"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}
    ]
    assert document["annotations"]["k"] == "v"
    assert document["process"]["oomScoreAdj"] == 5
    assert document["process"]["noNewPrivileges"] is False
    check_runtime(document)


def test_an_option_is_any_function():
    def quiet(spec):
        spec.section("process")["oomScoreAdj"] = 500

    assert made(quiet).document["process"]["oomScoreAdj"] == 500


def test_an_option_can_be_used_again():
    chosen = [
        options.memory_limit("64M"), options.tmpfs("/x"), options.host_network([]),
        options.hook("poststop", "/bin/true"), options.add_capabilities("SYS_ADMIN"),
    ]  # fmt: skip
    first, second = made(*chosen), made(*chosen)
    assert first.document == second.document
    first.section("hooks")["poststop"][0]["path"] = "/other"
    assert made(*chosen).document == second.document
    once, twice = default_spec(), default_spec()
    for spec, times in ((once, 1), (twice, 2)):
        for _ in range(times):
            options.env({"A": "b"})(spec)
            options.drop_capabilities("KILL")(spec)
    assert once.document == twice.document
    assert isinstance(once, RuntimeSpec)
