"""Stores that are damaged, of another version, or none: clear lines, and nothing made worse."""

import json
import os
import shutil
import sqlite3

import pytest

from support.images import ImageBuilder, directory, file
from support.stores import StoreUnderTest

COMMANDS = [
    ["images"], ["inspect", "app"], ["ls", "app"], ["cat", "app", "/etc/a"], ["rm", "app"],
    ["gc"], ["df"], ["mount", "app"],
]  # fmt: skip
A, B = b"a" * 3000, b"b" * 5000


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    builder = ImageBuilder().layer(directory("etc"), file("etc/a", A)).layer(file("etc/b", B))
    return builder.write(tmp_path_factory.mktemp("image") / "app")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, image):
    """A store with one image, to be copied."""
    store = StoreUnderTest(tmp_path_factory.mktemp("whole"), driver="directory")
    store.pull(image.source)
    return store


@pytest.fixture
def store(tmp_path, whole):
    """A copy that a test may damage."""
    shutil.copytree(whole.root, tmp_path / "root")
    return StoreUnderTest(tmp_path, driver="directory")


def all_fail(store, image, code, says):
    """Every command fails with the same clear line, which `info` tells; none touches a file."""
    before = {name: path_state(store.root / name) for name in store.files()}
    for command in [*COMMANDS, ["pull", image.source]]:
        store.orlop(*command).check_failure(code, says)
    unusable_for_info(store, says)
    assert {name: path_state(store.root / name) for name in store.files()} == before


def unusable_for_info(store, says):
    """What the machine can do is shown all the same."""
    done = store.orlop("info", "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["store"].startswith("unusable: ")
    assert says in json.loads(done.out)["store"]


def path_state(path):
    return path.read_bytes()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"version": 2, "features": []}', "format version 2"),
        ('{"version": 1, "features": ["later", "more"]}', "later, more"),
        ("", "format.json"),
        ("garbage", "format.json"),
        ("[]", "format.json"),
        ('{"version": 1}', "format.json"),
        ('{"version": "1", "features": []}', "format.json"),
        ("[" * 60_000, "format.json"),
    ],
)
def test_format(store, image, text, says):
    (store.root / "format.json").write_text(text)
    all_fail(store, image, 1, says)


def sql(path, statement):
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def overwrite(path):
    with open(path, "r+b") as database:
        database.seek(4096)
        database.write(os.urandom(path.stat().st_size - 4096))


def replace(path):
    path.unlink()
    sql(path, "CREATE TABLE recipes (name)")


def make_directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "lost its database"),
        (lambda path: os.truncate(path, 0), "lost its database"),
        (lambda path: os.truncate(path, 8192 + 100), "no sound database"),
        (lambda path: path.write_bytes(b"garbage " * 1000), "no sound database"),
        (overwrite, "no sound database"),
        (replace, "another program"),
        (make_directory, "Is a directory"),
        (lambda path: sql(path, "PRAGMA user_version = 99"), "schema version 99"),
    ],
)
def test_database(store, image, damage, says):
    """The blobs stay: they are never taken for garbage because no record names them."""
    for name in ("orlop.db-wal", "orlop.db-shm"):
        (store.root / name).unlink(missing_ok=True)
    damage(store.root / "orlop.db")
    all_fail(store, image, 1, says)


def test_directory_with_other_files_is_no_store(tmp_path, image):
    store = StoreUnderTest(tmp_path)
    store.root.mkdir()
    (store.root / "thesis.tex").write_text("\\begin{document}")
    for command in (["pull", image.source], ["gc"]):
        store.orlop(*command).check_failure(1, "thesis.tex")
    for command in (["images"], ["df"], ["ls", "app"], ["rm", "app"]):
        store.orlop(*command).check_failure(3, "no store")
    assert os.listdir(store.root) == ["thesis.tex"]


def test_file_in_the_place_of_a_store(tmp_path, image):
    store = StoreUnderTest(tmp_path)
    store.root.write_text("x")
    for command in [*COMMANDS, ["pull", image.source]]:
        store.orlop(*command).check_failure(1, str(store.root))
    unusable_for_info(store, str(store.root))
    assert store.root.read_text() == "x"


def test_reading_makes_no_store(tmp_path):
    store = StoreUnderTest(tmp_path)
    for command in COMMANDS:
        done = store.orlop(*command)
        if command in (["images"], ["gc"]):
            assert done.code == 0
        else:
            done.check_failure(3, "no store")
    assert not store.root.exists()


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: os.truncate(path, 0),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "longer": lambda path: os.truncate(path, path.stat().st_size + 1),
    "flipped": flip,
}


def kept_files(store, kind):
    """The files of a kind: `blobs`, or by their own name in `forms` and `chains`."""
    return [
        store.root / name
        for name in sorted(store.files())
        if name != "format.json" and kind in {name.split("/")[0], name.split("/")[-1]}
    ]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["blobs", "tar", "changeset", "index.erofs"])
def test_damaged_content(store, image, kind, damage):
    """What reads it works or says what is wrong; another pull puts it right."""
    for path in kept_files(store, kind):
        if kind == "tar" and damage == "flipped":
            continue  # Its bytes are not looked at again before another boot.
        path.chmod(0o600)
        DAMAGES[damage](path)
    for command in (["inspect", "app"], ["ls", "app"], ["cat", "app", "/etc/b"]):
        done = store.orlop(*command)
        if done.code:
            done.check_failure(done.code)
            assert done.code in {1, 3, 4}
            assert "pull the image again" in done.err
    store.pull(image.source)
    for path in kept_files(store, "chains"):
        path.unlink()
    store.pull(image.source)
    assert store.orlop("inspect", "app").code == 0
    assert store.orlop("cat", "app", "/etc/a", "/etc/b").out == (A + B).decode()


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_blobs_are_fetched_again_when_they_are_unpacked(store, image, whole, damage):
    for path in kept_files(store, "blobs"):
        path.chmod(0o600)
        DAMAGES[damage](path)
    shutil.rmtree(store.root / "forms")
    shutil.rmtree(store.root / "chains")
    (store.root / "forms").mkdir()
    (store.root / "chains").mkdir()
    mounted = store.orlop("mount", "app", "--driver", "directory")
    mounted.check_failure(3 if damage == "gone" else 4)
    store.pull(image.source)
    names = [name for name in whole.files() if name.startswith(("blobs", "forms", "chains"))]
    for name in names:
        assert (store.root / name).read_bytes() == (whole.root / name).read_bytes()
    store.collect()
    assert store.files() == whole.files()


def test_damaged_blob_that_is_its_own_tar(tmp_path):
    """Blob and tar are one file: a damaged one is replaced as both."""
    layout = ImageBuilder(compression="none").layer(file("a", A)).write(tmp_path / "app")
    store = StoreUnderTest(tmp_path, driver="directory")
    store.pull(layout.source)
    path = store.root / "blobs/sha256" / layout.layers[0]["digest"][7:]
    path.chmod(0o600)
    os.truncate(path, 700)
    store.orlop("cat", "app", "/a").check_failure(3, "is not stored, or damaged")
    store.pull(layout.source)
    assert store.orlop("cat", "app", "/a").out == A.decode()
