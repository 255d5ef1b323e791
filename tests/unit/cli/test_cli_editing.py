"""`orlop config`, `append`, `squash`, `flatten`, `rebase`, `index`, `diff` and `commit`."""

import json

import pytest

from support.images import ImageBuilder, directory, file, tar, whiteout

MOMENT = "1700000000"


@pytest.fixture(autouse=True)
def moment(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", MOMENT)


@pytest.fixture
def store(empty, tmp_path):
    """A store of the test's own, with `base:1`, and `arm:1` for another machine."""
    builder = ImageBuilder(config={"config": {"Env": ["A=b", "C=d"], "Labels": {"x": "y"}}})
    builder.layer(directory("etc"), file("etc/motd", b"hi")).layer(file("two", b"2"))
    empty.pull(builder.write(tmp_path / "l", "v1").source, "--tag", "base:1")
    arm = ImageBuilder(platform=("linux", "arm64")).layer(file("arm"))
    source = arm.write(tmp_path / "l", "v2").source
    empty.pull(source, "--tag", "arm:1", "--platform", "linux/arm64")
    return empty


def run(store, *arguments):
    done = store.orlop(*arguments)
    assert (done.code, done.err) == (0, ""), done
    return done.out.strip()


def config(store, name):
    return json.loads(run(store, "inspect", "--config", name))


def container(store, name):
    return config(store, name)["config"]


def test_config(store, tmp_path):
    image_id = run(
        store, "config", "base:1", "--tag", "mine:1", "--env", "A=1", "--env", "N=a=b",
        "--unset-env", "C", "--user", "1:2", "--entrypoint", '["/bin/sh", "-c"]', "--cmd", "echo",
        "--cmd", "-n", "--workdir", "/srv", "--label", "k=", "--unlabel", "x", "--expose", "80/tcp",
        "--volume", "/data", "--stop-signal", "SIGINT", "--author", "me", "--created",
        "2024-02-03T04:05:06Z", "--annotation", "a.b=c", "--healthcheck", "none", "--comment",
        "why", "--created-by", "by",
    )  # fmt: skip
    document = config(store, "mine:1")
    assert image_id == json.loads(run(store, "inspect", "mine:1", "--format", "json"))["id"]
    assert document["config"] == {
        "User": "1:2", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=1", "N=a=b"],
        "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo", "-n"], "Volumes": {"/data": {}},
        "WorkingDir": "/srv", "Labels": {"k": ""}, "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["NONE"]},
    }  # fmt: skip
    assert (document["author"], document["created"]) == ("me", "2024-02-03T04:05:06Z")
    step = document["history"][-1]
    assert (step["comment"], step["created_by"], step["empty_layer"]) == ("why", "by", True)
    assert json.loads(run(store, "inspect", "--manifest", "mine:1"))["annotations"] == {"a.b": "c"}
    assert container(store, "base:1")["Env"] == ["A=b", "C=d"]


def test_config_clears_first(store):
    run(store, "config", "base:1", "--clear", "config.env", "--clear", "labels", "--env", "N=1")
    assert container(store, "base:1") == {"Env": ["N=1"]}
    assert config(store, "base:1")["created"] == "2023-11-14T22:13:20Z"
    run(store, "config", "base:1", "--cmd", "a", "--no-history")
    assert len(config(store, "base:1")["history"]) == 3
    run(store, "config", "base:1", "--cmd", "")
    assert "Cmd" not in container(store, "base:1")
    run(store, "config", "base:1", "--os", "windows", "--arch", "arm64", "--variant", "v8")
    assert config(store, "base:1")["variant"] == "v8"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["config", "base:1", "--env", "A"], 2, "'A' is no --env"),
        (["config", "base:1", "--env", "=b"], 2, "'=b' is no --env"),
        (["config", "base:1", "--label", "k"], 2, "'k' is no --label"),
        (["config", "base:1", "--clear", "all"], 2, "'all' cannot be cleared"),
        (["config", "base:1", "--entrypoint", '["a"'], 2, "is no JSON"),
        (["config", "base:1", "--cmd", "[1]"], 2, "more than words"),
        (["config", "base:1", "--healthcheck", "[]"], 2, "no JSON object"),
        (["config", "base:1", "--expose", "x"], 1, "exposed_ports: 'x' is no port"),
        (["config", "base:1", "--workdir", "x"], 1, "working_dir"),
        (["config", "base:1", "--created", "x"], 1, "no time"),
        (["config", "base:1"], 1, "nothing is to be changed"),
        (["config", "none:1", "--user", "1"], 3, "none:1"),
        (["append", "base:1", "/nowhere"], 3, "/nowhere"),
        (["append", "base:1", "/dev/null"], 1, "/dev/null: there is no tar"),
        (["append", "base:1", "-", "-"], 2, "read but once"),
        (["append", "base:1", "-x"], 2, "'-x' is no option"),
        (["append", "base:1", "/dev/null", "--none"], 2, "no option"),
        (["append", "base:1", "/dev/null", "--target", "/x"], 2, "for directories"),
        (["append", "base:1", "/etc", "--owner", "me"], 2, "no owner"),
        (["squash", "base:1"], 2, "which layers"),
        (["squash", "base:1", "--layers", "0"], 2, "cannot be merged"),
        (["squash", "base:1", "--layers", "9"], 1, "the image has 2"),
        (["squash", "base:1", "--since", "arm:1"], 1, "layer 1 is sha256:"),
        (["rebase", "base:1", "base:1", "arm:1"], 1, "the new base is for linux/arm64"),
        (["index", "create", "i:1", "base:1", "none:1"], 3, "none:1"),
        (["index", "add", "base:1", "arm:1"], 1, "is one image"),
        (["index", "annotate", "base:1"], 2, "nothing is to be changed"),
        (["diff", "base:1", "none:1"], 3, "none:1"),
        (["diff", "base:1", "arm:1", "--compress", "gzip"], 2, "are for --tar"),
    ],
)
def test_failures_name_nothing(store, arguments, code, says):
    before = store.images()
    store.orlop(*arguments).check_failure(code, says)
    assert store.images() == before


def test_append(store, tmp_path, type_in):
    place = tmp_path / "d/sub"
    place.mkdir(parents=True)
    (place / "f").write_bytes(b"f")
    (tmp_path / "layer.tar").write_bytes(tar(whiteout("two"), file("three")))
    run(
        store, "append", "base:1", tmp_path / "d", tmp_path / "layer.tar", "--tag", "app:1",
        "--target", "/opt", "--owner", "5:6", "--compress", "zstd", "--comment", "c",
        "--author", "m",
    )  # fmt: skip
    assert run(store, "ls", "app:1", "/").split() == ["etc", "opt", "three"]
    assert run(store, "diff", "base:1", "app:1").splitlines() == [
        "A /opt", "A /opt/sub", "A /opt/sub/f", "A /three", "D /two",
    ]  # fmt: skip
    steps = config(store, "app:1")["history"]
    assert len(steps) == 4
    assert (steps[-1]["comment"], steps[-1]["author"]) == ("c", "m")
    type_in(tar(file("typed")))
    run(store, "append", "app:1", "-")
    assert "typed" in run(store, "ls", "app:1", "/")


def test_squash_flatten_and_rebase(store, tmp_path):
    (tmp_path / "a.tar").write_bytes(tar(file("a", b"a")))
    (tmp_path / "b.tar").write_bytes(tar(whiteout("a"), file("b", b"b")))
    run(store, "append", "base:1", tmp_path / "a.tar", tmp_path / "b.tar", "--tag", "app:1")
    run(store, "squash", "app:1", "--since", "base:1", "--tag", "squash:1")
    run(store, "squash", "app:1", "--layers", "2", "--tag", "squash:2", "--comment", "two")
    assert len(config(store, "squash:1")["rootfs"]["diff_ids"]) == 3
    assert config(store, "squash:1")["rootfs"] == config(store, "squash:2")["rootfs"]
    assert config(store, "squash:2")["history"][-1]["comment"] == "two"
    run(store, "flatten", "app:1", "--tag", "flat:1", "--compress", "none")
    assert run(store, "diff", "app:1", "flat:1") == run(store, "diff", "app:1", "squash:1") == ""
    run(store, "flatten", "base:1", "--tag", "base:2")
    run(store, "rebase", "squash:1", "base:1", "base:2")
    assert len(config(store, "squash:1")["rootfs"]["diff_ids"]) == 2
    assert run(store, "diff", "app:1", "squash:1") == ""
    history = run(store, "history", "squash:1")
    assert "orlop squash since" in history


def test_index(store):
    made = run(store, "index", "create", "i:1", "base:1", "arm:1", "--annotation", "a=b")
    document = json.loads(run(store, "inspect", "--raw", "i:1"))
    assert [each["platform"]["architecture"] for each in document["manifests"]] == [
        "amd64", "arm64",
    ]  # fmt: skip
    assert document["annotations"] == {"a": "b"}
    assert json.loads(run(store, "inspect", "i:1", "--format", "json"))["target"]["digest"] == made
    run(store, "config", "i:1", "--platform", "linux/arm64", "--user", "7", "--tag", "arm:2")
    store.orlop("config", "i:1", "--user", "7").check_failure(1, "an index of several images")
    added = run(store, "index", "add", "i:1", "arm:2", "--annotation", "k=v")
    noted = run(store, "index", "annotate", "i:1", "c=d", "--remove", "a", "--tag", "i:2")
    assert len({made, added, noted}) == 3
    run(store, "index", "rm", "i:2", "linux/amd64")
    document = json.loads(run(store, "inspect", "--raw", "i:2"))
    assert (len(document["manifests"]), document["annotations"]) == (1, {"c": "d"})
    assert document["manifests"][0]["annotations"] == {"k": "v"}
    assert config(store, "arm:2")["config"]["User"] == "7"


def test_diff_as_json_and_as_tar(store, tmp_path):
    (tmp_path / "a.tar").write_bytes(tar(whiteout("two"), file("a\x1b", b"a")))
    run(store, "append", "base:1", tmp_path / "a.tar", "--tag", "app:1")
    assert json.loads(run(store, "diff", "base:1", "app:1", "--format", "json")) == [
        {"kind": "add", "path": "/a\x1b"}, {"kind": "delete", "path": "/two"},
    ]  # fmt: skip
    run(store, "diff", "base:1", "app:1", "--tar", "-o", tmp_path / "diff.tar")
    run(store, "append", "base:1", tmp_path / "diff.tar", "--tag", "app:2")
    assert run(store, "diff", "app:1", "app:2") == ""


def test_commit_is_at_the_top_too(store):
    store.orlop("container", "create", "base:1", "--name", "box")
    done = store.orlop("commit", "box", "made:1", "--author", "me")
    assert done.code == 0, done
    assert config(store, "made:1")["author"] == "me"


def test_an_id_with_several_names_says_which_one_moves(store):
    image_id = run(store, "inspect", "base:1", "--format", "json")
    image_id = json.loads(image_id)["id"].removeprefix("sha256:")[:12]
    run(store, "config", image_id, "--user", "1")  # it has one name, which moves
    assert container(store, "base:1")["User"] == "1"
    store.orlop("tag", "base:1", "second:1")
    image_id = json.loads(run(store, "inspect", "base:1", "--format", "json"))["id"]
    store.orlop("config", image_id, "--user", "2").check_failure(2, "has several names")
    run(store, "config", image_id, "--user", "2", "--tag", "third:1")


def test_the_image_of_another_platform_is_unpacked_out_of_a_stored_index(store, tmp_path):
    run(store, "index", "create", "both:1", "base:1", "arm:1")
    run(store, "unpack", "both:1", tmp_path / "arm", "--platform", "linux/arm64", "-q")
    assert (tmp_path / "arm/rootfs/arm").exists()
    own = run(store, "images", "-q").splitlines()[0]
    done = store.orlop("unpack", own, tmp_path / "none", "--platform", "linux/s390x")
    done.check_failure(3, "and not for linux/s390x")
    run(store, "index", "create", "one:1", "arm:1")
    done = store.orlop("unpack", "one:1", tmp_path / "none", "--pull", "never")
    done.check_failure(3, "has no image for linux/")
    done = store.orlop("unpack", "one:1", tmp_path / "none")  # no registry is to be reached
    done.check_failure(3, "has no image for linux/")
