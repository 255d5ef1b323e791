"""`orlop layout`, on directories and on archives, without a store."""

import io
import json
import os
import sys
import tarfile
from types import SimpleNamespace

import pytest

from orlop.errors import InUseError
from orlop.layout import DirectoryDriver, collect, open_source, parse_place, validate
from orlop.layout.driver.archive import ArchiveReader
from support.images import KIND, ImageBuilder, digest, directory, file, symlink, tar
from support.layouts import put_together, write_to
from support.stores import StoreUnderTest

MANIFEST = KIND + "manifest.v1+json"
INDEX = KIND + "index.v1+json"


@pytest.fixture
def orlop(tmp_path):
    """Runs a command; there is no store, before and after it."""
    store = StoreUnderTest(tmp_path / "no-store")

    def run(*arguments):
        done = store.orlop("layout", *arguments)
        assert not store.root.exists()
        return done

    return run


@pytest.fixture
def good(orlop):
    """Runs a command that must succeed; its output."""

    def run(*arguments):
        done = orlop(*arguments)
        assert (done.code, done.err) == (0, ""), done
        return done.out

    return run


@pytest.fixture(params=["layout", "layout.tar"])
def place(request, tmp_path):
    """Where a layout will be."""
    return tmp_path / request.param


@pytest.fixture
def image(tmp_path):
    """The files of an image: name by media type."""
    layout = (
        ImageBuilder().layer(directory("etc"), file("etc/motd", b"hi\n")).write(tmp_path / "source")
    )
    manifest = json.loads(layout.blob(layout.manifest).read_bytes())
    parts = [*manifest["layers"], manifest["config"], layout.manifest]
    return SimpleNamespace(
        digest=layout.manifest["digest"],
        raw=layout.blob(layout.manifest).read_bytes(),
        parts=[(layout.blob(part), part["mediaType"]) for part in parts],
        manifest=layout.blob(layout.manifest),
        size=sum(part["size"] for part in parts),
    )


@pytest.fixture
def filled(place, good, image):
    """A layout with an image under the name `box`."""
    good("init", place)
    for path, media_type in image.parts[:-1]:
        assert good("put", place, path, "--media-type", media_type) == digest_line(path)
    good("put", place, image.manifest, "--media-type", MANIFEST, "--ref", "box")
    return place


def digest_line(path):
    return digest(path.read_bytes()) + "\n"


def listed(good, place):
    return json.loads(good("ls", place, "--format", "json"))


def names(good, place):
    key = "org.opencontainers.image.ref.name"
    return [each.get("annotations", {}).get(key) for each in listed(good, place)]


def blobs(place):
    if place.is_dir():
        return {path.name for path in place.glob("blobs/*/*")}
    with tarfile.open(place) as archive:
        return {name.split("/")[2] for name in archive.getnames() if name.count("/") == 2}


def make_old(place):
    for path in place.glob("blobs/*/*"):
        os.utime(path, (1, 1))


def test_init_makes_a_valid_layout(good, place):
    assert good("init", place) == ""
    assert good("validate", place) == ""
    assert listed(good, place) == []
    assert place.is_dir() == (place.suffix != ".tar")


def test_init_takes_the_form_of_its_prefix(good, tmp_path):
    good("init", f"oci:{tmp_path}/a.tar")
    good("init", f"oci-archive:{tmp_path}/b")
    assert (tmp_path / "a.tar").is_dir()
    assert tarfile.is_tarfile(tmp_path / "b")
    assert good("validate", f"oci-archive:{tmp_path}/b") == ""


def test_init_leaves_what_is_there(orlop, good, filled):
    before = good("ls", filled)
    orlop("init", filled).check_failure(1, "exists")
    assert good("ls", filled) == before


def test_put_makes_an_image_that_can_be_opened(good, filled, image):
    assert good("validate", filled) == ""
    transport = "oci" if filled.is_dir() else "oci-archive"
    with open_source(parse_place(f"{transport}:{filled}:box")) as source:
        assert source.read(source.resolve()) == image.raw


def test_ls_shows_names_digests_platforms_and_sizes(good, filled, image):
    heading, line = good("ls", filled).splitlines()
    assert heading.split() == ["NAME", "DIGEST", "PLATFORM", "SIZE"]
    name, shown, platform, size, unit = line.split()
    assert (name, shown, platform) == ("box", image.digest[:19], "linux/amd64")
    assert int(size) == image.size if unit == "B" else float(size) > 0


def test_ls_as_json_has_the_descriptors(good, filled, image):
    (found,) = listed(good, filled)
    assert found["digest"] == image.digest
    assert found["platform"] == {"architecture": "amd64", "os": "linux"}


def test_ls_of_what_is_not_there(good, tmp_path):
    driver = put_together()
    for path in list(driver.paths("blobs/")):
        driver.remove(path)
    write_to(driver, tmp_path / "bare")
    assert good("ls", tmp_path / "bare").splitlines()[1].split()[0] == "v1.0"


def test_put_reads_standard_input(good, place, monkeypatch):
    good("init", place)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"piped")))
    assert good("put", place, "-", "--media-type", "text/plain") == digest(b"piped") + "\n"
    assert good("cat", place, digest(b"piped")) == "piped"


def test_a_collector_waits_for_put(good, tmp_path, monkeypatch):
    place = tmp_path / "layout"
    good("init", place)
    asked = []

    class Piped(io.BytesIO):
        def read(self, size=-1):
            with pytest.raises(InUseError):
                collect(DirectoryDriver(place), timeout=0)
            asked.append(size)
            return super().read(size)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Piped(b"piped")))
    good("put", place, "-", "--media-type", "text/plain", "--ref", "notes")
    assert asked
    assert collect(DirectoryDriver(place), unfinished=True, timeout=0) == []


def test_put_lists_anything_under_a_name(good, filled, tmp_path):
    (tmp_path / "notes").write_text("notes")
    good(
        "put", filled, tmp_path / "notes", "--media-type", "text/plain", "--ref", "notes",
        "--annotation", "a=1", "--annotation", "b=c=d",
    )  # fmt: skip
    assert good("cat", filled, "notes") == "notes"
    assert listed(good, filled)[1]["annotations"] == {
        "a": "1", "b": "c=d", "org.opencontainers.image.ref.name": "notes",
    }  # fmt: skip


def test_put_without_a_name_lists_a_document_once(good, filled, image):
    for _ in range(2):
        good("put", filled, image.manifest, "--media-type", MANIFEST)
    assert names(good, filled) == ["box", None]


def test_put_moves_a_name(good, filled, tmp_path):
    (tmp_path / "index").write_text(json.dumps({"schemaVersion": 2, "manifests": []}))
    good("put", filled, tmp_path / "index", "--media-type", INDEX, "--ref", "box")
    (found,) = listed(good, filled)
    assert found["mediaType"] == INDEX


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--media-type", "text"], "'text' is no media type"),
        (["--media-type", "text/plain", "--annotation", "a=b"], "annotations"),
        (["--media-type", "text/plain", "--ref", "a", "--annotation", "b"], "'b' is no annotation"),
        (["--media-type", "text/plain", "--ref", "../../x"], "'../../x' is no name"),
        (["--media-type", "text/plain", "--ref", "/etc"], "'/etc' is no name"),
        (["--media-type", "text/plain", "--ref", ""], "'' is no name"),
        ([], "media-type"),
    ],
)
def test_put_with_what_does_not_go_together(orlop, filled, image, arguments, says):
    before = blobs(filled)
    orlop("put", filled, image.manifest, *arguments).check_failure(2, says)
    assert blobs(filled) == before


def test_put_of_no_file(orlop, filled, tmp_path):
    done = orlop("put", filled, tmp_path / "nothing", "--media-type", "text/plain")
    done.check_failure(3, f"{tmp_path}/nothing: No such file")


@pytest.mark.parametrize("suffix", ["tar.gz", "tgz", "tar.zst"])
def test_init_makes_no_directory_that_is_called_like_an_archive(orlop, tmp_path, suffix):
    orlop("init", tmp_path / f"new.{suffix}").check_failure(2, "would be compressed")
    assert not (tmp_path / f"new.{suffix}").exists()


def test_put_refuses_what_is_no_manifest(orlop, good, filled, tmp_path):
    before = good("ls", filled)
    (tmp_path / "x").write_text("{}")
    orlop("put", filled, tmp_path / "x", "--media-type", MANIFEST, "--ref", "x").check_failure(1)
    assert good("ls", filled) == before


def test_tag_and_rm(good, filled):
    good("tag", filled, "box", "v1")
    assert names(good, filled) == ["box", "v1"]
    good("rm", filled, "box")
    assert names(good, filled) == ["v1"]
    good("tag", filled, listed(good, filled)[0]["digest"], "again")
    assert names(good, filled) == ["v1", "again"]
    assert good("validate", filled) == ""


def test_what_others_wrote_stays(good, tmp_path, image):
    """Members of the index that this library does not know, in it and in its descriptors."""
    place = tmp_path / "layout"
    good("init", place)
    good("put", place, image.manifest, "--media-type", MANIFEST, "--ref", "box")
    theirs = json.loads((place / "index.json").read_bytes()) | {"com.example.index": [1]}
    theirs["manifests"][0]["com.example.descriptor"] = {"deep": None}
    (place / "index.json").write_text(json.dumps(theirs))
    (tmp_path / "notes").write_text("notes")
    good("put", place, tmp_path / "notes", "--media-type", "text/plain", "--ref", "other")
    good("tag", place, "box", "v1")
    good("rm", place, "other")
    found = json.loads((place / "index.json").read_bytes())
    assert found["com.example.index"] == [1]
    assert [each["com.example.descriptor"] for each in found["manifests"]] == [{"deep": None}] * 2
    assert names(good, place) == ["box", "v1"]


def test_tag_moves_a_name(good, filled, tmp_path):
    (tmp_path / "notes").write_text("notes")
    good("put", filled, tmp_path / "notes", "--media-type", "text/plain", "--ref", "other")
    good("tag", filled, "box", "other")
    assert names(good, filled) == ["box", "other"]
    assert len({each["digest"] for each in listed(good, filled)}) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["tag", "nope", "new"], 3, "has no 'nope'"),
        (["tag", "box", "../../x"], 2, "'../../x' is no name"),
        (["tag", "box", ""], 2, "empty"),
        (["rm", "nope"], 3, "has no 'nope'"),
        (["rm", ""], 2, "empty"),
        (["cat", "nope"], 3, "has no 'nope'"),
        (["cat", "../../etc/passwd"], 3, "has no '../../etc/passwd'"),
        (["cat", "sha256:../../x"], 3, "has no 'sha256:../../x'"),
        (["cat", "sha256:" + "0" * 64], 3, "0000"),
    ],
)
def test_names_that_mean_nothing(orlop, good, filled, arguments, code, says):
    before = good("ls", filled)
    command, *words = arguments
    done = orlop(command, filled, *words)
    done.check_failure(code, says)
    assert good("ls", filled) == before


def test_an_unknown_name_is_answered_with_those_that_are_there(orlop, filled):
    assert orlop("rm", filled, "nope").err.endswith("hint: it has box\n")


def test_cat_prints_manifests_by_name_and_blobs_by_digest(good, filled, image):
    assert good("cat", filled, "box").encode() == image.raw
    assert good("cat", filled, image.digest).encode() == image.raw


def test_cat_of_a_spoilt_blob_fails(orlop, tmp_path):
    layout = write_to(put_together(), tmp_path / "layout")
    (layout / "blobs/sha256" / digest(b"not an image\n")[7:]).write_bytes(b"something els")
    done = orlop("cat", layout, digest(b"not an image\n"))
    assert done.code == 4
    assert done.errors


def test_gc_removes_what_no_name_needs(good, filled, image):
    everything = blobs(filled)
    make_old(filled)
    assert good("gc", filled) == "nothing to free\n"
    good("rm", filled, "box")
    planned = good("gc", filled, "--dry-run").splitlines()
    assert (planned[0].split(), len(planned)) == (["WOULD", "GO", "SIZE"], 1 + len(everything))
    assert blobs(filled) == everything
    removed = json.loads(good("gc", filled, "--format", "json"))
    assert {each["path"].rpartition("/")[2] for each in removed} == everything
    assert sum(each["size"] for each in removed) == image.size
    assert blobs(filled) == set()
    assert good("validate", filled) == ""


def test_gc_keeps_the_blobs_of_the_last_hour(good, tmp_path, image):
    place = tmp_path / "young"
    good("init", place)
    good("put", place, image.manifest, "--media-type", "text/plain")
    assert good("gc", place) == "nothing to free\n"
    assert blobs(place)
    assert "sha256" in good("gc", place, "--unfinished")
    assert not blobs(place)


def test_gc_does_nothing_where_a_document_is_broken(orlop, tmp_path):
    driver = put_together()
    (broken,) = (path for path, each in driver.files.items() if b'"layers": [' in each.data)
    layout = write_to(driver, tmp_path / "layout")
    (layout / broken).write_bytes(b"something else")
    (layout / "blobs/sha256" / digest(b"unneeded")[7:]).write_bytes(b"unneeded")
    before = blobs(layout)
    done = orlop("gc", layout, "--unfinished")
    done.check_failure(4, broken.rpartition("/")[2])
    assert done.err.splitlines()[1] == "hint: nothing was removed; `validate` says what is wrong"
    assert blobs(layout) == before


def test_validate_says_what_is_broken_and_where(orlop, tmp_path):
    edits = {
        "index": lambda index: index["manifests"][1].update(size=1),
        "files": lambda files: files.update({"blobs/md5/x": b""}),
    }
    layout = write_to(put_together(edits), tmp_path / "layout")
    done = orlop("validate", layout)
    assert (done.code, done.err) == (4, "")
    size, md5 = done.out.splitlines()
    assert size == (
        "must: index.json: $.manifests[1].size: is 1, and the content has 13 bytes "
        '(descriptor.md, "Properties")'
    )
    assert md5 == (
        "note: blobs/md5/x: digests of md5 cannot be computed here "
        '(descriptor.md, "Registered algorithms")'
    )
    found = json.loads(orlop("validate", layout, "--format", "json").out)
    assert [each["severity"] for each in found] == ["must", "note"]
    assert found[0]["section"] == 'descriptor.md, "Properties"'
    assert found[0]["where"] == "index.json: $.manifests[1].size"


def test_validate_gives_notes_without_failing(good, tmp_path):
    edits = {"files": lambda files: files.update({"blobs/md5/x": b""})}
    layout = write_to(put_together(edits), tmp_path / "layout")
    assert good("validate", layout).startswith("note: blobs/md5/x")


def test_validate_of_an_empty_directory(orlop, tmp_path):
    done = orlop("validate", tmp_path)
    assert done.code == 4
    assert [line.split(" (")[0] for line in done.out.splitlines()] == [
        "must: oci-layout: is missing",
        "must: blobs: is no directory",
        "must: index.json: is missing",
    ]


HOSTILE = {
    "leads out": (file("../x"), "'..'"),
    "absolute": (file("/etc/../../x"), "'..'"),
    "twice": (file("index.json", b"{}"), "comes twice"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "words", [["ls"], ["validate"], ["gc"], ["tag", "v1.0", "new"], ["rm", "v1.0"]]
)
def test_hostile_archives_are_refused_and_left(orlop, tmp_path, hostile, words):
    member, says = HOSTILE[hostile]
    archive = tmp_path / "hostile.tar"
    members = [file(path, each.data) for path, each in put_together().files.items()]
    archive.write_bytes(tar(*members, member))
    before = archive.read_bytes()
    command, *more = words
    orlop(command, archive, *more).check_failure(1, says)
    assert archive.read_bytes() == before
    assert os.listdir(tmp_path) == ["hostile.tar"]


@pytest.mark.parametrize("target", ["../../../etc/passwd", "/etc/passwd"])
def test_links_in_archives_lead_nowhere(orlop, tmp_path, target):
    name = "0" * 64
    members = [file(path, each.data) for path, each in put_together().files.items()]
    archive = tmp_path / "links.tar"
    archive.write_bytes(tar(*members, symlink(f"blobs/sha256/{name}", target)))
    done = orlop("cat", archive, f"sha256:{name}")
    assert (done.code, done.out) == (1, "")
    done = orlop("validate", archive)
    assert done.code == 4
    assert done.out.startswith(f"must: blobs/sha256/{name}: ")


@pytest.mark.parametrize("command", ["ls", "gc", "validate", "tag", "rm", "cat", "put"])
@pytest.mark.parametrize(
    ("name", "code"), [("missing", 3), ("missing.tar", 3), ("dir:x", 2), ("oci:", 2)]
)
def test_places_that_are_none(orlop, tmp_path, command, name, code, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text("x")
    more = {
        "tag": ["a", "b"], "rm": ["a"], "cat": ["a"], "put": ["x", "--media-type", "text/plain"],
    }  # fmt: skip
    done = orlop(command, name, *more.get(command, []))
    done.check_failure(code, name)
    assert not (tmp_path / "missing").exists()
    assert not (tmp_path / "missing.tar").exists()


@pytest.mark.parametrize("command", ["ls", "gc", "tag", "rm", "cat", "put"])
def test_a_directory_that_is_no_layout(orlop, tmp_path, command):
    (tmp_path / "x").write_text("x")
    more = {
        "tag": ["a", "b"], "rm": ["a"], "cat": ["a"],
        "put": [tmp_path / "x", "--media-type", "text/plain"],
    }  # fmt: skip
    (tmp_path / "plain").mkdir()
    done = orlop(command, tmp_path / "plain", *more.get(command, []))
    done.check_failure(3, "is no image layout")
    assert list((tmp_path / "plain").iterdir()) == []


def test_help_of_every_verb(orlop, capsys):
    assert "validate" in orlop("--help").out
    for verb in ("init", "ls", "put", "tag", "rm", "cat", "gc", "validate"):
        assert f"Usage: orlop layout {verb}" in orlop(verb, "--help").out


def test_drivers_agree_about_an_archive_and_a_directory(good, filled):
    driver = ArchiveReader(filled) if filled.is_file() else DirectoryDriver(filled)
    assert list(validate(driver)) == []
