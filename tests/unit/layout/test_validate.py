"""How `validate` goes through a layout: all of it, once, whatever is wrong there."""

import hashlib
import json
import os
import tarfile
from importlib import import_module

import pytest

from orlop.errors import InvalidArchiveError, LimitExceededError, UnsafePathError
from orlop.layout import DirectoryDriver, validate
from orlop.layout.driver.archive import ArchiveReader
from support.images import KIND, compress, digest, directory, file, tar
from support.layouts import NOTES, descriptor, driver_of, put_together, write_to

INDEX = KIND + "index.v1+json"
MANIFEST = KIND + "manifest.v1+json"
DOCKER = "application/vnd.docker."
ZEROS = "0" * 64


def rules(driver, severity=None):
    found = validate(driver)
    return [each.rule for each in found if severity in (None, each.severity)]


def blob_path(data):
    return "blobs/sha256/" + digest(data)[7:]


class Watched:
    """A driver that remembers of which files something was read."""

    def __init__(self, driver):
        self._driver = driver
        self.paths = driver.paths
        self.read = []

    def reader(self, path):
        stream = self._driver.reader(path)
        real, watched = stream.read, self.read

        class Stream(type(stream)):
            def read(self, size):
                data = real(size)
                watched.extend([path] if data else [])
                return data

        return Stream(stream.getvalue())


def test_everything_that_is_wrong_is_told_in_order():
    def spoil(files):
        files["oci-layout"] = b"{}"
        files[blob_path(NOTES)] = b"something else"

    driver = put_together({
        "files": spoil,
        "index": lambda index: index.update(schemaVersion=1),
        "manifest": lambda manifest: manifest.update(artifactType="x", mediaType=INDEX),
        "config": lambda config: config.update(os=1, created="today"),
    })  # fmt: skip
    found = list(validate(driver))
    assert [each.where.rpartition(": $")[2] for each in found] == [
        ".imageLayoutVersion", ".schemaVersion", ".manifests[1].size", ".mediaType",
        ".artifactType", ".created", ".os", blob_path(NOTES),
    ]  # fmt: skip
    assert {each.severity for each in found} == {"must"}
    assert str(found[1]) == (
        "index.json: $.schemaVersion: is 1, and must be 2 "
        '(image-index.md, "Image Index Property Descriptions")'
    )


def test_missing_blobs_are_notes():
    driver = put_together()
    for path in list(driver.paths("blobs/")):
        driver.remove(path)
    found = list(validate(driver))
    assert [(each.severity, each.section) for each in found] == [
        ("note", 'image-layout.md, "Blobs"')
    ] * 2


def test_a_layout_without_anything():
    assert rules(driver_of({})) == ["oci-layout exists", "index.json exists"]


def test_a_directory_without_blobs(tmp_path):
    driver = put_together({"index": lambda index: index.update(manifests=[])})
    for path in list(driver.paths("blobs/")):
        driver.remove(path)
    layout = write_to(driver, tmp_path / "layout")
    (found,) = validate(DirectoryDriver(layout))
    assert (found.rule, found.where) == ("the directory blobs exists", "blobs")
    (layout / "blobs").mkdir()
    assert list(validate(DirectoryDriver(layout))) == []


def test_a_shared_layer_is_read_and_told_once():
    layer = compress(tar(file("a"), file("a")), "gzip")
    manifests = [
        json.dumps({
            "schemaVersion": 2,
            "config": descriptor("application/vnd.example", b"{}"),
            "layers": [descriptor(KIND + "layer.v1.tar+gzip", layer)] * 2,
            "annotations": {"n": str(number)},
        }).encode()
        for number in range(3)
    ]  # fmt: skip
    files = {blob_path(each): each for each in (layer, b"{}", *manifests)}
    index = {"schemaVersion": 2, "manifests": [descriptor(MANIFEST, each) for each in manifests]}
    files |= {
        "index.json": json.dumps(index).encode(),
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    }
    driver = driver_of(files)
    watched = Watched(driver)
    assert rules(watched) == ["no path comes twice"]
    assert sorted(watched.read) == sorted(files)


def test_one_config_with_two_manifests_is_told_once_but_compared_twice():
    driver = put_together({"config": lambda config: config.update(os=1)})
    manifest = next(each.data for each in driver.files.values() if b'"layers": [' in each.data)
    other = json.loads(manifest)
    other["layers"].pop()
    data = json.dumps(other).encode()
    index = json.loads(driver.files["index.json"].data)
    index["manifests"].append(descriptor(MANIFEST, data))
    files = {path: each.data for path, each in driver.files.items()}
    files |= {blob_path(data): data, "index.json": json.dumps(index).encode()}
    assert rules(driver_of(files), "must") == [
        "os is a string",
        "rootfs.diff_ids has one for each layer",
    ]


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_diff_ids_of_other_algorithms(algorithm):
    layer = tar(file("a", b"x" * 5000))
    good = f"{algorithm}:{hashlib.new(algorithm, layer).hexdigest()}"
    bad = algorithm + ":" + "0" * (len(good) - 7)

    def with_diff_id(name):
        def use(config):
            config["rootfs"]["diff_ids"] = [name]

        return put_together({"config": use}, layers=[layer])

    assert rules(with_diff_id(good)) == []
    (found,) = validate(with_diff_id(bad))
    assert found.rule == "each diffID is of the uncompressed layer"
    assert found.message == f"is {bad}, and the uncompressed layer is {good}"


def test_blobs_of_other_algorithms():
    data = b"longer"
    name = hashlib.sha512(data).hexdigest()

    def add(files):
        files[f"blobs/sha512/{name}"] = data
        files["blobs/sha512/" + "0" * 128] = data

    def point(index):
        index["manifests"].append(
            {"mediaType": "text/plain", "digest": f"sha512:{name}", "size": len(data)}
        )

    (found,) = validate(put_together({"files": add, "index": point}))
    assert found.where == "blobs/sha512/" + "0" * 128
    assert found.message == f"the content has the digest sha512:{name}"


def test_unknown_media_types_are_not_parsed():
    """Implementations MUST NOT attempt to parse the content of an unknown config."""
    driver = put_together({
        "manifest": lambda manifest: manifest["config"].update(mediaType="application/x+json"),
        "config": lambda _: b"{ no JSON",
        "index": lambda index: index["manifests"].append(
            descriptor("application/vnd.oci.image.layer.v9", NOTES)
        ),
    })  # fmt: skip
    assert rules(driver) == []


def test_docker_documents_are_looked_into():
    layer = compress(tar(file("a")), "gzip")
    config = json.dumps({
        "os": "linux", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + ZEROS]},
    }).encode()  # fmt: skip
    kind = DOCKER + "distribution.manifest.v2+json"
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": descriptor(DOCKER + "container.image.v1+json", config),
        "layers": [descriptor(DOCKER + "image.rootfs.diff.tar.gzip", layer)],
    }).encode()  # fmt: skip
    listed = json.dumps({
        "schemaVersion": 2,
        "mediaType": DOCKER + "distribution.manifest.list.v2+json",
        "manifests": [descriptor(kind, manifest)],
    }).encode()  # fmt: skip

    def add(files):
        files.update({blob_path(each): each for each in (layer, config, manifest, listed)})

    def point(index):
        kind = DOCKER + "distribution.manifest.list.v2+json"
        index["manifests"].append(descriptor(kind, listed))

    driver = put_together({"files": add, "index": point})
    assert rules(driver) == ["each diffID is of the uncompressed layer"]


def test_ten_thousand_nested_indexes():
    data = put_together().files["index.json"].data
    files = {path: each.data for path, each in put_together().files.items()}
    for _ in range(10_000):
        files[blob_path(data)] = data
        data = json.dumps({"schemaVersion": 2, "manifests": [descriptor(INDEX, data)]}).encode()
    files["index.json"] = data
    found = list(validate(driver_of(files)))
    assert [each.rule for each in found] == ["readers can follow the nest"]


def test_an_index_that_names_itself():
    """Its digest must be wrong, since none can be that of content which holds it."""
    entry = {"mediaType": INDEX, "digest": "sha256:" + ZEROS}
    loop = json.dumps({"schemaVersion": 2, "manifests": [{**entry, "size": 200}]}).encode()
    loop = loop.replace(b"200", str(len(loop)).encode().rjust(3))
    files = {"index.json": loop, f"blobs/sha256/{ZEROS}": loop}
    driver = driver_of({**files, "oci-layout": b'{"imageLayoutVersion":"1.0.0"}'})
    (found,) = validate(driver)
    assert (found.rule, found.where) == (
        "a blob's content matches its digest", f"blobs/sha256/{ZEROS}",
    )  # fmt: skip


def test_a_large_document_is_hashed_and_not_parsed():
    large = b"[" * (4 << 20) + b"!"
    driver = put_together({"manifest": lambda _: large})
    (found,) = validate(driver)
    assert (found.severity, found.section, found.where) == ("note", "orlop", blob_path(large))
    assert "MAX_DOCUMENT_SIZE" in found.message
    driver.files[f"blobs/sha256/{digest(large)[7:]}"] = driver_of({"x": large + b"x"}).files["x"]
    assert "a blob's content matches its digest" in rules(driver)


def test_more_diff_ids_than_an_image_may_have_are_not_compared():
    def add(config):
        config["rootfs"]["diff_ids"] *= 600

    (found,) = validate(put_together({"config": add}))
    assert (found.severity, found.section) == ("note", "orlop")
    assert "MAX_LAYERS" in found.message


@pytest.mark.parametrize("path", ["oci-layout", "index.json"])
def test_a_file_without_end_is_not_read(path):
    driver = put_together({"files": lambda files: files.update({path: b" " * (17 << 20)})})
    assert "orlop can read it" in rules(driver)


def test_many_findings_of_one_layer_are_counted():
    limit = import_module("orlop.layout.validation.layers").MAX_LAYER_FINDINGS
    layer = tar(*(file("same") for _ in range(limit + 50)))
    found = list(validate(put_together(layers=[layer])))
    assert len(found) == limit + 1
    assert found[-1].message == "has further entries: each comes twice"
    assert found[0].where.endswith("entry 'same'")


def test_a_layer_over_its_limits_is_hashed_to_the_end(monkeypatch):
    layers = import_module("orlop.layout.validation.layers")
    monkeypatch.setattr(layers, "LAYER_LIMITS", layers.TarLimits(max_entries=2))
    layer = tar(*(file(str(number)) for number in range(5)))
    (found,) = validate(put_together(layers=[layer]))
    assert (found.severity, found.rule) == ("note", "a layer can be read to its end")
    assert "max_entries" in found.message


def test_too_many_blobs(monkeypatch):
    monkeypatch.setattr(import_module("orlop.layout.validation.blobs"), "MAX_BLOBS", 3)
    with pytest.raises(LimitExceededError, match="MAX_BLOBS"):
        list(validate(put_together()))


def test_too_many_violations(monkeypatch):
    monkeypatch.setattr(import_module("orlop.layout.validation.walk"), "MAX_VIOLATIONS", 3)
    driver = put_together({"index": lambda index: {**index, "manifests": [0] * 4}})
    with pytest.raises(LimitExceededError, match="MAX_VIOLATIONS"):
        list(validate(driver))


def test_a_driver_that_does_not_know_its_files():
    """Blobs that nothing leads to cannot be found then."""
    driver = put_together({"files": lambda files: files.update({f"blobs/sha256/{ZEROS}": b"x"})})

    class Blind:
        reader = driver.reader

    assert rules(driver) == ["a blob's content matches its digest"]
    assert rules(Blind()) == []


def test_names_are_shown_cut_and_escaped():
    name = "\x1b[31m" + "x" * 500
    annotations = {"org.opencontainers.image.ref.name": name}
    driver = put_together({
        "index": lambda index: index["manifests"][0].update(annotations=annotations)
    })  # fmt: skip
    (found,) = validate(driver)
    assert "\x1b" not in str(found)
    assert len(str(found)) < 400


class TestDirectory:
    @pytest.fixture
    def layout(self, tmp_path):
        return write_to(put_together(), tmp_path / "layout")

    def test_links_are_not_followed(self, layout, tmp_path):
        (tmp_path / "notes").write_bytes(NOTES)
        path = layout / blob_path(NOTES)
        path.unlink()
        path.symlink_to(tmp_path / "notes")
        found = list(validate(DirectoryDriver(layout)))
        assert [each.rule for each in found] == [
            "what is referenced is there, or elsewhere",
            "a blob's content matches its digest",
        ]
        assert "symbolic link" in found[1].message

    @pytest.mark.parametrize("name", ["oci-layout", "index.json"])
    def test_links_in_the_place_of_its_files(self, layout, tmp_path, name):
        (layout / name).rename(tmp_path / name)
        (layout / name).symlink_to(tmp_path / name)
        found = [each for each in validate(DirectoryDriver(layout)) if each.severity == "must"]
        assert [each.rule for each in found] == [f"{name} exists"]

    def test_a_link_to_the_blobs_is_no_directory(self, layout, tmp_path):
        (layout / "blobs").rename(tmp_path / "blobs")
        (layout / "blobs").symlink_to(tmp_path / "blobs")
        found = [each for each in validate(DirectoryDriver(layout)) if each.severity == "must"]
        assert [(each.rule, each.where) for each in found] == [
            ("the directory blobs exists", "blobs")
        ]

    def test_names_that_are_no_text(self, layout):
        (layout / "blobs/sha256/caf\udce9").write_bytes(b"")
        (found,) = validate(DirectoryDriver(layout))
        assert found.rule == "a blob's path fits the grammar of digests"
        assert "\\udce9" in found.message

    def test_a_fifo_is_no_blob(self, layout):
        os.mkfifo(layout / "blobs/sha256" / ZEROS)
        (found,) = validate(DirectoryDriver(layout))
        assert "is no regular file" in found.message

    def test_files_beside_the_blobs_are_nobody_s_business(self, layout):
        for name in ("manifest.json", "oci-put-blob1", ".orlop-x"):
            (layout / name).write_bytes(b"x")
        (layout / ".umoci-1").mkdir()
        assert list(validate(DirectoryDriver(layout))) == []


class TestArchive:
    def archive(self, tmp_path, *more, driver=None):
        """A tar of a layout, and these members."""
        driver = driver or put_together()
        members = [file(path, each.data) for path, each in driver.files.items()]
        (tmp_path / "layout.tar").write_bytes(tar(*members, *more))
        return tmp_path / "layout.tar"

    def test_a_valid_one(self, tmp_path):
        with ArchiveReader(self.archive(tmp_path, directory("other"))) as driver:
            assert list(validate(driver)) == []

    def test_one_without_blobs(self, tmp_path):
        files = {
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
            "index.json": b'{"schemaVersion":2,"manifests":[]}',
        }
        with ArchiveReader(self.archive(tmp_path, driver=driver_of(files))) as driver:
            assert rules(driver) == ["the directory blobs exists"]

    def test_members_that_lead_out_are_refused(self, tmp_path):
        with pytest.raises(UnsafePathError, match=r"\.\."):
            ArchiveReader(self.archive(tmp_path, file("../x")))

    def test_members_that_come_twice_are_refused(self, tmp_path):
        with pytest.raises(InvalidArchiveError, match="comes twice"):
            ArchiveReader(self.archive(tmp_path, file("index.json", b"{}")))

    @pytest.mark.parametrize("target", ["../../../etc/passwd", "/etc/passwd", ZEROS, "nothing"])
    def test_links_that_lead_nowhere(self, tmp_path, target):
        link = tarfile.TarInfo(f"blobs/sha256/{ZEROS}")
        link.type, link.linkname = tarfile.SYMTYPE, target
        with ArchiveReader(self.archive(tmp_path, (link, b""))) as driver:
            assert rules(driver) == ["a blob's content matches its digest"]
