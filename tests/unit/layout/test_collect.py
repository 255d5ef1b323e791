"""What `collect` removes from a layout, what it keeps, and when it does nothing."""

import json
import os
import tarfile
import threading
from importlib import import_module

import pytest

from orlop.errors import (
    InUseError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    OrlopError,
    UnsupportedError,
    VerificationError,
)
from orlop.layout import DirectoryDriver, collect, validate
from orlop.layout.driver.archive import ArchiveDriver, ArchiveReader
from support.images import KIND, digest
from support.layouts import descriptor, driver_of, put_together, write_to

JUNK = b"nobody needs this"
JUNK_PATH = "blobs/sha256/" + digest(JUNK)[7:]
INDEX = KIND + "index.v1+json"
MANIFEST = KIND + "manifest.v1+json"


def files_of(driver):
    return {path: each.data for path, each in driver.files.items()}


def with_junk(**edits):
    """A layout with a blob that nothing needs."""

    def add(files):
        files[JUNK_PATH] = JUNK

    return put_together({"files": add, **edits})


def a_layout_of(*entries, blobs=()):
    """A layout whose index lists these descriptors, with these blobs and the junk."""
    index = {"schemaVersion": 2, "manifests": list(entries)}
    return driver_of({
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **{f"blobs/sha256/{digest(each)[7:]}": each for each in (*blobs, JUNK)},
    })  # fmt: skip


def index_of(*entries, **more):
    return json.dumps({"schemaVersion": 2, "manifests": list(entries), **more}).encode()


def removed(driver, **options):
    return [each.path for each in collect(driver, **options)]


def test_what_the_index_leads_to_is_kept():
    driver = with_junk()
    before = files_of(driver)
    (found,) = collect(driver)
    assert (found.path, found.digest, found.size) == (JUNK_PATH, digest(JUNK), len(JUNK))
    assert files_of(driver) == {path: data for path, data in before.items() if path != JUNK_PATH}
    assert list(validate(driver)) == []
    assert collect(driver) == []


def test_nested_indexes_are_followed():
    leaf = index_of()
    middle = index_of(descriptor(INDEX, leaf))
    top = index_of(descriptor(INDEX, middle))
    driver = a_layout_of(descriptor(INDEX, top), blobs=[leaf, middle, top])
    assert removed(driver) == [JUNK_PATH]


def test_ten_thousand_nested_indexes_are_followed():
    nest = [index_of()]
    for _ in range(10_000):
        nest.append(index_of(descriptor(INDEX, nest[-1])))
    driver = a_layout_of(descriptor(INDEX, nest[-1]), blobs=nest)
    assert removed(driver) == [JUNK_PATH]


def test_a_dry_run_removes_nothing():
    driver = with_junk()
    before = files_of(driver)
    assert removed(driver, dry_run=True) == [JUNK_PATH]
    assert files_of(driver) == before


def test_a_subject_is_followed_neither_way():
    signed = index_of()
    signature = index_of(subject=descriptor(INDEX, signed))
    path = "blobs/sha256/" + digest(signed)[7:]
    driver = a_layout_of(descriptor(INDEX, signature), blobs=[signed, signature])
    assert removed(driver) == sorted([path, JUNK_PATH])
    driver = a_layout_of(descriptor(INDEX, signed), blobs=[signed, signature])
    assert path in driver.files
    assert removed(driver) == sorted(["blobs/sha256/" + digest(signature)[7:], JUNK_PATH])


def test_what_unknown_documents_mention_is_kept():
    part, whole = b"part", b"whole"
    inner = json.dumps({"x": [{"blob": digest(part)}]}).encode()
    outer = json.dumps({"inner": digest(inner), "absent": "sha512:" + "0" * 128}).encode()
    driver = a_layout_of(
        descriptor("application/vnd.future+json", outer),
        descriptor("text/plain", whole),
        blobs=[part, whole, inner, outer],
    )
    assert removed(driver) == [JUNK_PATH]


def test_documents_that_the_layout_does_not_have_are_no_hindrance():
    driver = a_layout_of(descriptor(MANIFEST, b"elsewhere"), descriptor("a/b", b"elsewhere too"))
    assert removed(driver) == [JUNK_PATH]


def corrupt(driver):
    path = next(path for path, each in driver.files.items() if b'"layers": [' in each.data)
    driver.files[path] = driver.files["oci-layout"]
    return driver


@pytest.mark.parametrize(
    ("driver", "error"),
    [
        pytest.param(with_junk(index=lambda _: b"{"), InvalidDocumentError, id="index"),
        pytest.param(with_junk(layout=lambda _: b"{}"), InvalidDocumentError, id="oci-layout"),
        pytest.param(with_junk(manifest=lambda _: b"{"), InvalidDocumentError, id="manifest"),
        pytest.param(
            with_junk(manifest=lambda manifest: manifest["layers"].append("x")),
            InvalidDocumentError, id="layers",
        ),
        pytest.param(
            with_junk(index=lambda index: index["manifests"][0].update(mediaType=INDEX)),
            InvalidDocumentError, id="kind",
        ),
        pytest.param(
            with_junk(index=lambda index: index["manifests"][0].update(digest="sha256:../../x")),
            InvalidDocumentError, id="digest",
        ),
        pytest.param(
            with_junk(manifest=lambda manifest: manifest.update(x="x" * (4 << 20))),
            LimitExceededError, id="size",
        ),
        pytest.param(corrupt(with_junk()), VerificationError, id="content"),
        pytest.param(driver_of({JUNK_PATH: JUNK}), NotFoundError, id="no layout"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dry_run", [False, True])
def test_nothing_is_removed_where_it_is_not_clear_what_is_needed(driver, error, dry_run):
    before = files_of(driver)
    with pytest.raises(error):
        collect(driver, unfinished=True, dry_run=dry_run)
    assert files_of(driver) == before


def test_the_error_says_which_document_is_broken():
    driver = with_junk(manifest=lambda _: b"{")
    with pytest.raises(OrlopError, match=digest(b"{")) as caught:
        collect(driver)
    assert "nothing was removed" in caught.value.hint


def test_an_index_that_names_itself_ends():
    """Its digest must be wrong, since none can be that of content which holds it."""
    name = "sha256:" + "0" * 64
    loop = index_of({"mediaType": INDEX, "digest": name, "size": 1})
    driver = a_layout_of({"mediaType": INDEX, "digest": name, "size": 1})
    driver.files["blobs/sha256/" + "0" * 64] = driver_of({"x": loop}).files["x"]
    before = files_of(driver)
    with pytest.raises(VerificationError):
        collect(driver)
    assert files_of(driver) == before


def test_a_blob_of_many_unknown_types_is_read_once():
    """A small index could else have a large blob read ten thousand times."""
    named = descriptor("", b"named by a document of tomorrow")
    blob = json.dumps({"parts": [named["digest"]]}).encode()
    entries = [{**descriptor("", blob), "mediaType": f"x/{number}"} for number in range(10)]
    driver = a_layout_of(*entries, blobs=[blob, b"named by a document of tomorrow"])
    opened, reader = [], driver.reader
    path = "blobs/" + entries[0]["digest"].replace(":", "/")
    driver.reader = lambda path: opened.append(path) or reader(path)
    assert removed(driver) == [JUNK_PATH]
    assert opened.count(path) == 2  # Its size, and its content.


def test_too_many_blobs_are_refused(monkeypatch):
    monkeypatch.setattr(import_module("orlop.layout.collection"), "MAX_REACHABLE", 3)
    driver = with_junk()
    with pytest.raises(LimitExceededError, match="MAX_REACHABLE"):
        collect(driver)
    assert JUNK_PATH in driver.files


def test_a_driver_that_does_not_know_its_files():
    class Blind:
        pass

    with pytest.raises(UnsupportedError, match="which files it has"):
        collect(Blind())


class TestDirectory:
    @pytest.fixture
    def layout(self, tmp_path):
        """A layout whose blobs are old, with junk in it."""
        place = write_to(with_junk(), tmp_path / "layout")
        for path in place.glob("blobs/*/*"):
            os.utime(path, (1, 1))
        return place

    def test_recent_blobs_are_kept_unless_told_otherwise(self, layout):
        os.utime(layout / JUNK_PATH)
        assert removed(DirectoryDriver(layout)) == []
        assert removed(DirectoryDriver(layout), unfinished=True) == [JUNK_PATH]
        assert not (layout / JUNK_PATH).exists()

    def test_old_blobs_go(self, layout):
        assert removed(DirectoryDriver(layout)) == [JUNK_PATH]
        assert list(validate(DirectoryDriver(layout))) == []

    def test_what_is_no_blob_is_left(self, layout):
        others = [
            "blobs/readme", "blobs/sha256/not-a-digest", "blobs/sha256/x/y", "note", ".umoci/z",
            "oci-put-blob123", f"blobs/{digest(JUNK)}",
        ]  # fmt: skip
        for path in others:
            (layout / path).parent.mkdir(exist_ok=True)
            (layout / path).write_bytes(b"mine")
        for name, target in (("0" * 64, "../../note"), ("1" * 64, "/nowhere")):
            (layout / "blobs/sha256" / name).symlink_to(target)
        (layout / "blobs/sha256" / ("2" * 64)).mkdir()
        assert removed(DirectoryDriver(layout), unfinished=True) == [JUNK_PATH]
        assert all((layout / path).read_bytes() == b"mine" for path in others)
        assert (layout / "blobs/sha256" / ("1" * 64)).is_symlink()

    def test_leftovers_of_dead_writers_go(self, layout):
        (layout / ".orlop-dead").write_bytes(b"half")
        (layout / ".orlop-directory").mkdir()
        (layout / ".orlop-link").symlink_to("note")
        driver = DirectoryDriver(layout)
        with driver.blob_writer("sha256") as alive:
            alive.write(b"half")
            assert removed(driver, dry_run=True) == [JUNK_PATH, ".orlop-dead"]
            assert (layout / ".orlop-dead").exists()
            assert removed(driver) == [JUNK_PATH, ".orlop-dead"]
            alive.commit()
        assert (layout / "blobs/sha256" / digest(b"half")[7:]).exists()
        assert (layout / ".orlop-directory").is_dir()
        assert (layout / ".orlop-link").is_symlink()

    def test_writers_are_waited_for(self, layout):
        entered, leave = threading.Event(), threading.Event()

        def write():
            with DirectoryDriver(layout).sharing():
                entered.set()
                leave.wait(20)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert entered.wait(20)
            with pytest.raises(InUseError, match="is being written to"):
                collect(DirectoryDriver(layout), timeout=0.1)
            assert (layout / JUNK_PATH).exists()
            assert removed(DirectoryDriver(layout), dry_run=True) == [JUNK_PATH]
            threading.Timer(0.2, leave.set).start()
            assert removed(DirectoryDriver(layout), timeout=20) == [JUNK_PATH]
        finally:
            leave.set()
            writer.join()


class TestArchive:
    @pytest.fixture
    def archive(self, tmp_path):
        """A tar of a layout with junk, and with a member that is no part of it."""
        place = write_to(with_junk(), tmp_path / "layout")
        (place / "manifest.json").write_text("[]")
        with tarfile.open(tmp_path / "layout.tar", "w") as tar:
            for name in sorted(os.listdir(place)):
                tar.add(place / name, name)
        return tmp_path / "layout.tar"

    def names(self, archive):
        with tarfile.open(archive) as tar:
            return set(tar.getnames())

    def test_the_archive_is_written_without_them(self, archive):
        before = self.names(archive)
        with ArchiveDriver(archive) as driver:
            assert removed(driver) == [JUNK_PATH]
        assert self.names(archive) == before - {JUNK_PATH}
        with ArchiveReader(archive) as driver:
            assert list(validate(driver)) == []

    def test_a_dry_run_only_reads(self, archive):
        before = archive.read_bytes()
        with ArchiveReader(archive) as driver:
            assert removed(driver, dry_run=True) == [JUNK_PATH]
        assert archive.read_bytes() == before

    def test_nothing_to_free_leaves_the_archive(self, archive):
        with ArchiveDriver(archive) as driver:
            collect(driver)
        before = archive.stat()
        with ArchiveDriver(archive) as driver:
            assert collect(driver) == []
        assert archive.stat().st_ino == before.st_ino
