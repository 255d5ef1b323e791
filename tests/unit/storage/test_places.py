import json
import os
import stat
import threading
from pathlib import Path

import pytest

from orlop.digest import Digest
from orlop.errors import InvalidDocumentError, NotFoundError, UnsupportedError
from orlop.storage.places import FORMAT_VERSION, Places, check_format, prepare
from orlop.storage.storage import Storage

FOLDERS = {
    "layers",
    "images",
    "containers",
    "blobs",
    "ingest",
    "forms",
    "chains",
    "staging",
    "locks",
    "trash",
}


def test_a_new_store_has_its_folders_and_its_format(places):
    prepare(places)
    assert {path.name for path in places.root.iterdir()} == FOLDERS | {"format.json"}
    assert json.loads((places.root / "format.json").read_text()) == {"version": 1, "features": []}
    assert FORMAT_VERSION == 1


def test_only_its_owner_may_enter(places):
    prepare(places)
    for path in (places.root, *(places.root / name for name in FOLDERS)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_preparing_twice_changes_nothing(places):
    prepare(places)
    before = (places.root / "format.json").stat()
    prepare(places)
    after = (places.root / "format.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("number", range(8))
def test_many_make_one_store_at_once(places, number):
    barrier = threading.Barrier(8)
    failures = []

    def work():
        barrier.wait()
        try:
            if number % 2:
                prepare(places)
                check_format(places)
            else:
                Storage.open(places).close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {path.name for path in places.root.iterdir()} >= FOLDERS | {"format.json"}
    assert not [path for path in places.root.iterdir() if path.name.startswith(".")]


def test_what_a_killed_process_left_does_not_disturb(places):
    places.root.mkdir()
    (places.root / f".format-{os.getpid()}").write_text("{")
    prepare(places)
    check_format(places)


def test_no_store(places):
    with pytest.raises(NotFoundError, match="no store at"):
        check_format(places)
    check_format(places, missing_ok=True)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"version": 1}',
        b'{"version": "1", "features": []}',
        b'{"version": true, "features": []}',
        b'{"version": 1, "features": {}}',
        b'{"version": 1.0, "features": []}',
        b'{"version": 1, "features": [1]}',
        b'{"version": 1, "features": [{}]}',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"version": 1, "features": []}' + b" " * 70_000,
    ],
)
def test_a_damaged_format_file(places, document):
    prepare(places)
    (places.root / "format.json").write_bytes(document)
    with pytest.raises(InvalidDocumentError, match="not the format file of a store"):
        prepare(places)


@pytest.mark.parametrize(
    ("version", "features", "says"),
    [
        (2, [], "format version 2"),
        (0, [], "format version 0"),
        (1, ["later"], "the features later"),
        (2, ["one", "two"], "the features one, two"),
    ],
)
def test_another_format_is_refused_by_name(places, version, features, says):
    prepare(places)
    document = {"version": version, "features": features}
    (places.root / "format.json").write_text(json.dumps(document))
    with pytest.raises(UnsupportedError, match=says):
        check_format(places)


def test_paths_follow_from_digests():
    places = Places(Path("/root"), Path("/run"))
    digest = Digest("sha256:" + "ab" * 32)
    assert places.blob(digest) == Path(f"/root/blobs/sha256/{'ab' * 32}")
    assert places.form(digest) == Path(f"/root/forms/sha256/{'ab' * 32}")
    assert places.chain(digest) == Path(f"/root/chains/sha256/{'ab' * 32}")
    assert places.lock(digest) == Path("/root/locks/ab")
    assert places.mounts == Path("/run/mounts")
    assert places.mount_lock(Path("/mnt")).parent == Path("/root/locks")
    assert places.mount_lock(Path("/mnt")).name.startswith("mount-")


def test_only_drivers_that_there_are(places):
    with pytest.raises(ValueError, match="'zfs' is none of erofs, overlay, vfs"):
        Storage.open(places, driver="zfs")
    assert not places.root.exists()
