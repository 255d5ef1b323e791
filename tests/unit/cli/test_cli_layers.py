"""`orlop layer`: made, listed, compared, changed and removed."""

import gzip
import json
import subprocess
import sys
import tarfile

import pytest

from orlop.storage.naming import MAX_METADATA_SIZE, MAX_NAME_LENGTH, MAX_NAMES
from support.images import directory, file, tar, whiteout
from support.stores import StoreUnderTest

BASE = tar(directory("d"), file("d/a", b"first"), file("d/gone", b"x"))
CHANGE = tar(directory("d"), file("d/a", b"second"), whiteout("d/gone"), file("new\x1b[31m"))


@pytest.fixture
def store(empty):
    return empty


@pytest.fixture
def tars(tmp_path):
    """The two tars as files."""
    for name, data in (("base.tar", BASE), ("change.tar.gz", gzip.compress(CHANGE))):
        (tmp_path / name).write_bytes(data)
    return tmp_path / "base.tar", tmp_path / "change.tar.gz"


def lines(store, *arguments, code=0):
    done = store.orlop("layer", *arguments)
    assert done.code == code, done
    return done.out.splitlines()


def document(store, *arguments):
    return json.loads("\n".join(lines(store, *arguments, "--format", "json")))


def create(store, *arguments):
    (id,) = lines(store, "create", *arguments)  # noqa: A001
    return id


@pytest.fixture
def stack(store, tars):
    """Two layers, one on the other, out of tars: the base's ID, the top's."""
    base = create(store, "--name", "base", "--from", tars[0])
    return base, create(store, "base", "--name", "top", "--from", tars[1])


def test_ids_are_printed_and_random(store):
    first, second = create(store), create(store)
    assert first != second
    assert all(len(each) == 64 and int(each, 16) for each in (first, second))
    assert lines(store, "ls", "-q") == sorted([first, second])
    assert create(store, "--id", "my.own") == "my.own"
    store.orlop("layer", "create", "--id", "my.own").check_failure(1, "exists already")
    store.orlop("layer", "create", "--id", "../x").check_failure(1, "cannot be an ID")


def test_list_for_people(store, stack):
    base, top = stack
    create(store, top, "--read-only", "--name", "a", "--name", "two")
    assert create(store, "top", "--id", "chosen-by-a-person-and-long")
    listed = [line.split() for line in lines(store, "ls", "--tree")]
    assert listed[0] == ["ID", "PARENT", "NAMES", "KIND", "SIZE", "CREATED"]
    assert listed[1][:5] == [base[:12], "base", "own", "10.0", "KiB"]
    assert listed[2][:3] == [top[:12], base[:12], "top"]
    assert ["chosen-by-a-person-and-long", top[:12], "own"] in [line[:3] for line in listed[3:]]
    assert [line[1:5] for line in listed[3:] if "two" in line] == [
        [top[:12], "a", "two", "read-only"]
    ]
    depths = [len(line) - len(line.lstrip()) for line in lines(store, "ls", "--tree")]
    assert depths == [0, 0, 2, 4, 4]


def test_layers_of_images_are_listed_too(filled):
    kinds = {each["id"]: each["pulled"] for each in document(filled, "ls")}
    assert list(kinds.values()) == [True, True]
    assert all("image's" in line for line in lines(filled, "ls")[1:])
    image = json.loads(filled.orlop("image", "inspect", "box", "--format", "json").out)
    assert document(filled, "inspect", image["layer"])["users"]["images"] == [image["id"]]


def test_inspecting(store, stack):
    base, top = stack
    found = document(store, "inspect", "top")
    assert (found["id"], found["names"], found["parent"]) == (top, ["top"], base)
    assert (found["diff_size"], found["compression"]) == (len(CHANGE), "gzip")
    assert found["users"] == {"layers": [], "images": [], "containers": [], "mounts": []}
    assert document(store, "inspect", base[:9])["users"]["layers"] == [top]
    shown = lines(store, "inspect", "base")
    assert shown[0] == f"id:         {base}"
    assert f"below:      {top}" in shown
    store.orlop("layer", "inspect", "missing").check_failure(3, "no layer is called 'missing'")


def test_id_mappings(store):
    create(store, "--name", "mapped", "--uidmap", "0:100000:1000", "--uidmap", "1000:0:1")
    assert document(store, "inspect", "mapped")["id_mapping"] == {
        kind: [
            {"container_id": 0, "host_id": 100000, "size": 1000},
            {"container_id": 1000, "host_id": 0, "size": 1},
        ]
        for kind in ("uids", "gids")
    }
    assert "users:      0:100000:1000" in lines(store, "inspect", "mapped")
    for wrong in ("0:1", "0:0:0", "a"):
        store.orlop("layer", "create", "--gidmap", wrong).check_failure(2)


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
def test_the_tar_comes_back_byte_for_byte(store, stack, tmp_path, compress):
    output = tmp_path / "out"
    lines(store, "diff", "top", "--compress", compress, "-o", output)
    if compress == "zstd":
        data = subprocess.run(["zstd", "-dc", output], check=True, capture_output=True).stdout
    else:
        data = output.read_bytes()
        data = gzip.decompress(data) if compress == "gzip" else data
    assert data == CHANGE
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_a_tar_through_pipes(store, tars):
    command = [
        sys.executable, "-c", "import sys; from orlop.cli.main import main; sys.exit(main())",
        *store.options, "layer",
    ]  # fmt: skip
    with tars[1].open("rb") as stream:
        done = subprocess.run(
            [*command, "create", "--from", "-"], stdin=stream, capture_output=True, check=True
        )
    layer = done.stdout.decode().strip()
    piped = subprocess.run([*command, "diff", layer], capture_output=True, check=True)
    assert piped.stdout == CHANGE
    lines(store, "create", "--id", "empty")
    with tars[0].open("rb") as stream:
        subprocess.run([*command, "apply", "empty"], stdin=stream, check=True)
    assert document(store, "inspect", "empty")["diff_size"] == len(BASE)


def test_the_difference_of_any_two(store, stack, tars):
    create(store, "--name", "other", "--from", tars[0])
    done = store.orlop("layer", "diff", "top", "other")
    assert done.code == 0
    assert lines(store, "changes", "top", "other") == lines(store, "changes", "top")
    assert lines(store, "changes", "other", "base") == []
    assert lines(store, "changes", "base") == ["A /d", "A /d/a", "A /d/gone"]


def test_changes(store, stack):
    assert lines(store, "changes", "top") == ["C /d/a", "D /d/gone", "A /new\\x1b[31m"]
    assert document(store, "changes", "top") == [
        {"kind": "modify", "path": "/d/a"},
        {"kind": "delete", "path": "/d/gone"},
        {"kind": "add", "path": "/new\x1b[31m"},
    ]


def test_applying(store, stack, tars, tmp_path):
    create(store, "top", "--name", "more")
    more = tmp_path / "more.tar"
    more.write_bytes(tar(file("d/b", b"b")))
    lines(store, "apply", "more", more)
    lines(store, "apply", "more", tars[0])
    output = tmp_path / "out.tar"
    lines(store, "diff", "more", "base", "-o", output)
    with tarfile.open(output) as found:
        assert found.getnames() == ["d", "d/b", "new\x1b[31m"]
    store.orlop("layer", "apply", "top", more).check_failure(5, "1 layers stand on it")
    cut = tmp_path / "cut.tar"
    cut.write_bytes(BASE[:700])
    before = document(store, "inspect", "more")
    store.orlop("layer", "apply", "more", cut).check_failure(1)
    assert document(store, "inspect", "more") == before
    store.orlop("layer", "apply", "more", tmp_path / "none").check_failure(3)
    store.orlop("layer", "create", "--from", cut, "--name", "cut").check_failure(1)
    store.orlop("layer", "inspect", "cut").check_failure(3)


def test_removing(store, stack):
    base, top = stack
    done = store.orlop("layer", "rm", "base", "top", "missing")
    assert done.code == 5
    assert done.out.splitlines() == [top]
    assert len(done.errors) == 2
    assert f"needed by layer {top}" in done.errors[0]
    assert lines(store, "rm", base) == [base]
    assert lines(store, "ls", "-q") == []
    store.collect()
    assert not [each for each in store.files() if each.startswith(("blobs", "forms", "layers"))]


def test_names(store):
    first, second = create(store, "--name", "a", "--name", "b"), create(store)
    lines(store, "name", "add", second, "b", "c")
    assert document(store, "inspect", first)["names"] == ["a"]
    assert document(store, "inspect", second)["names"] == ["b", "c"]
    lines(store, "name", "rm", "c", "b", "nothing")
    assert document(store, "inspect", "c")["id"] == second
    lines(store, "name", "set", "c", "new", "a", "new")
    assert document(store, "inspect", "new")["names"] == ["new", "a"]
    assert document(store, "inspect", first)["names"] == []
    lines(store, "name", "set", "new")
    store.orlop("layer", "inspect", "new").check_failure(3)  # nor is it the prefix of an ID
    store.orlop("layer", "name", "add", second, "a\nb").check_failure(1, "cannot be a name")
    store.orlop("layer", "name", "add", second, "").check_failure(1, "cannot be a name")
    store.orlop("layer", "create", "--name", "x" * (MAX_NAME_LENGTH + 1)).check_failure(
        1, "MAX_NAME_LENGTH"
    )
    lines(store, "name", "add", second, "x" * MAX_NAME_LENGTH)
    names = [f"n{number}" for number in range(MAX_NAMES - 1)]
    lines(store, "name", "add", second, *names)
    store.orlop("layer", "name", "add", second, "one more").check_failure(1, "MAX_NAMES")
    assert len(document(store, "inspect", second)["names"]) == MAX_NAMES
    lines(store, "name", "set", second, "free")
    store.orlop("layer", "create", "--name", "free").check_failure(1, second)


def test_prefixes(store):
    for name in ("aa1", "aa2", "ab"):
        create(store, "--id", name)
    lines(store, "name", "add", "ab", "aa")
    assert document(store, "inspect", "aa")["id"] == "ab"  # a name comes before a prefix
    assert document(store, "inspect", "aa1")["id"] == "aa1"
    done = store.orlop("layer", "inspect", "a")
    done.check_failure(1, "fits 3 layers")
    assert "aa1" in done.err


def test_metadata(store, type_in):
    create(store, "--id", "l", "--metadata", "-first")
    assert store.orlop("layer", "meta", "get", "l").out == "-first"
    lines(store, "meta", "set", "l", '{"a": "ü"}')
    assert store.orlop("layer", "meta", "get", "l").out == '{"a": "ü"}'
    type_in(b"x" * MAX_METADATA_SIZE)
    lines(store, "meta", "set", "l", "-")
    type_in(b"y" * (MAX_METADATA_SIZE + 1))
    store.orlop("layer", "meta", "set", "l", "-").check_failure(1, "MAX_METADATA_SIZE")
    type_in(b"\xff")
    store.orlop("layer", "meta", "set", "l", "-").check_failure(1, "not UTF-8")
    assert store.orlop("layer", "meta", "get", "l").out == "x" * MAX_METADATA_SIZE


def test_data(store, tmp_path, type_in):
    create(store, "--id", "l")
    (tmp_path / "one").write_bytes(bytes(range(256)))
    lines(store, "data", "put", "l", "a b", tmp_path / "one")
    type_in(b"text")
    lines(store, "data", "put", "l", "other")
    assert lines(store, "data", "ls", "l", "-q") == ["a b", "other"]
    assert document(store, "inspect", "l")["data"] == document(store, "data", "ls", "l")
    assert store.orlop("layer", "data", "get", "l", "other").out == "text"
    (tmp_path / "one").write_bytes(b"replaced")
    lines(store, "data", "put", "l", "a b", tmp_path / "one")
    assert store.orlop("layer", "data", "get", "l", "a b").out == "replaced"
    assert len([each for each in store.files() if "/data/" in each]) == 2
    done = store.orlop("layer", "data", "rm", "l", "a b", "missing")
    assert (done.code, len(done.errors)) == (3, 1)
    assert lines(store, "data", "ls", "l", "-q") == ["other"]
    store.orlop("layer", "data", "get", "l", "a b").check_failure(3, "no data called 'a b'")
    store.orlop("layer", "data", "put", "l", "x" * 1025, tmp_path / "one").check_failure(
        1, "MAX_NAME_LENGTH"
    )


def test_wrong_usage(store, tars):
    for arguments in (
        ["create", "--metadata", "-", "--from", "-"],
        ["create", "--compress", "gzip"],
        ["diff"],
        ["diff", "x", "--compress", "lzma"],
        ["name", "add", "x"],
        ["create", "--from", ""],
    ):
        store.orlop("layer", *arguments).check_failure(2)
    assert not store.root.exists()


def test_no_store(store):
    assert lines(store, "ls") == ["ID  PARENT  NAMES  KIND  SIZE  CREATED"]
    assert document(store, "ls") == []
    for arguments in (["rm", "x"], ["mount", "x"], ["umount", "x"], ["name", "add", "x", "y"]):
        store.orlop("layer", *arguments).check_failure(3)
    assert not store.root.exists()


def test_drivers_of_the_command_and_its_environment(store, monkeypatch, tmp_path):
    forms = {}
    for driver in ("erofs", "overlay", "vfs"):
        layer = store.orlop("--storage-driver", driver, "layer", "create").out.strip()
        forms[driver] = document(store, "inspect", layer)["form"]
    assert forms == {"erofs": "diff", "overlay": "diff", "vfs": "tree"}
    monkeypatch.setenv("ORLOP_DRIVER", "vfs")
    assert document(store, "inspect", create(store))["form"] == "tree"
    monkeypatch.setenv("ORLOP_DRIVER", "btrfs")
    store.orlop("layer", "ls").check_failure(2, "ORLOP_DRIVER")
    store.orlop("--storage-driver", "btrfs", "layer", "ls").check_failure(2)
    monkeypatch.delenv("ORLOP_DRIVER")


def test_additional_stores(store, stack, tmp_path, monkeypatch):
    base, top = stack
    own = StoreUnderTest(tmp_path / "own")
    both = ["--additional-store", store.root]
    made = own.orlop(*both, "layer", "create", "top", "--name", "mine").out.strip()
    assert own.orlop(*both, "layer", "ls", "-q").out.split() == [made, *sorted([base, top])]
    assert own.orlop(*both, "layer", "diff", "base").out == BASE.decode()
    own.orlop(*both, "layer", "name", "add", "base", "x").check_failure(1, "additional store")
    own.orlop("layer", "inspect", "top").check_failure(3)
    monkeypatch.setenv("ORLOP_ADDITIONAL_STORES", f"{store.root}:")
    assert own.orlop("layer", "inspect", "top").code == 0
    own.orlop("--additional-store", tmp_path / "none", "layer", "ls").check_failure(3)
    own.orlop("--additional-store", "", "layer", "ls").check_failure(2)
