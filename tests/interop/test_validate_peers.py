"""Layouts that skopeo, umoci and buildah write, held against the image-spec."""

import json
import os
import shutil
import subprocess
import tarfile

import pytest

from orlop.layout import DirectoryDriver, collect, validate
from orlop.layout.driver.archive import ArchiveReader
from support.images import ImageBuilder, directory, file, whiteout
from support.marks import needs_tools

pytestmark = [
    *needs_tools("skopeo", "umoci", "buildah"),
    pytest.mark.skipif(os.geteuid() != 0, reason="umoci and buildah run as root here"),
]


@pytest.fixture
def run(tmp_path):
    """Run a tool in a directory of its own."""
    storage = [f"--root={tmp_path}/root", f"--runroot={tmp_path}/run", "--storage-driver=vfs"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def call(tool, *arguments):
        options = storage if tool == "buildah" else []
        command = [tool, *options, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    return call


@pytest.fixture
def layout(tmp_path):
    """An image of two layers, in a layout of our own."""
    builder = ImageBuilder()
    builder.layer(directory("etc"), file("etc/motd", b"hello\n"), file("etc/old", b"x"))
    builder.layer(whiteout("etc/old"), file("new", b"y" * 5000))
    return builder.write(tmp_path / "source", tag="one")


def found(place):
    if place.is_dir():
        return list(validate(DirectoryDriver(place)))
    with ArchiveReader(place) as driver:
        return list(validate(driver))


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_skopeo(run, layout, tmp_path, form):
    run("skopeo", "copy", layout.source, f"{form}:{tmp_path}/copy:one")
    run("skopeo", "copy", "--multi-arch=all", layout.source, f"{form}:{tmp_path}/all:two")
    assert found(tmp_path / "copy") == []
    assert found(tmp_path / "all") == []


def test_skopeo_that_compresses_otherwise(run, layout, tmp_path):
    run(
        "skopeo", "copy", "--dest-compress-format=zstd", "--dest-compress", layout.source,
        f"oci:{tmp_path}/zstd:one",
    )  # fmt: skip
    assert found(tmp_path / "zstd") == []


def test_what_skopeo_leaves_behind_is_told_apart_from_breaches(run, layout, tmp_path):
    """It keeps the descriptor that had a moved name, and the blobs of both."""
    other = ImageBuilder().layer(file("other")).write(tmp_path / "other", tag="one")
    place = tmp_path / "copy"
    run("skopeo", "copy", layout.source, f"oci:{place}:one")
    run("skopeo", "copy", other.source, f"oci:{place}:one")
    index = json.loads((place / "index.json").read_bytes())
    assert len(index["manifests"]) == 2
    assert found(place) == []
    assert collect(DirectoryDriver(place), unfinished=True) == []


def test_an_empty_layout_of_umoci_has_null_where_an_array_must_be(run, tmp_path):
    run("umoci", "init", "--layout", tmp_path / "empty")
    (only,) = found(tmp_path / "empty")
    assert only.section == 'image-index.md, "Image Index Property Descriptions"'
    assert (only.severity, only.where, only.message) == (
        "must", "index.json: $.manifests", "is null",
    )  # fmt: skip


def test_umoci(run, tmp_path):
    place = tmp_path / "layout"
    run("umoci", "init", "--layout", place)
    run("umoci", "new", "--image", f"{place}:one")
    run("umoci", "unpack", "--image", f"{place}:one", tmp_path / "bundle")
    (tmp_path / "bundle/rootfs/file").write_bytes(b"x" * 5000)
    run("umoci", "repack", "--image", f"{place}:two", tmp_path / "bundle")
    (tmp_path / "bundle/rootfs/file").unlink()
    run("umoci", "repack", "--image", f"{place}:three", tmp_path / "bundle")
    run("umoci", "config", "--image", f"{place}:three", "--config.label", "a=b")
    assert found(place) == []


def test_collect_agrees_with_umoci_gc(run, tmp_path):
    place = tmp_path / "layout"
    run("umoci", "init", "--layout", place)
    for tag in ("one", "two"):
        run("umoci", "new", "--image", f"{place}:{tag}")
        run("umoci", "config", "--image", f"{place}:{tag}", "--config.user", tag)
    run("umoci", "rm", "--image", f"{place}:one")
    shutil.copytree(place, tmp_path / "other")
    run("umoci", "gc", "--layout", tmp_path / "other")
    assert collect(DirectoryDriver(place), unfinished=True)
    kept = [
        sorted(each.name for each in base.glob("blobs/*/*")) for base in (place, tmp_path / "other")
    ]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_buildah_annotates_the_base_of_what_has_none(run, tmp_path, form):
    (tmp_path / "file").write_bytes(b"built" * 1000)
    container = run("buildah", "from", "scratch")
    run("buildah", "copy", container, "file", "/file")
    run("buildah", "config", "--env", "A=B", container)
    run("buildah", "commit", "-q", container, f"{form}:{tmp_path}/built:one")
    (only,) = found(tmp_path / "built")
    assert only.section == 'annotations.md, "Pre-Defined Annotation Keys"'
    assert (only.severity, only.message) == ("note", "'' is no digest (algorithm:encoded)")


def test_what_we_write_is_read_by_both(run, layout, tmp_path):
    driver = DirectoryDriver(layout.path)
    collect(driver, unfinished=True)
    assert found(layout.path) == []
    assert "sha256" in run("skopeo", "inspect", layout.source)
    assert run("umoci", "ls", "--layout", layout.path) == "one"


def test_an_archive_of_a_layout_by_gnu_tar(run, layout, tmp_path):
    run("tar", "-C", layout.path, "-cf", tmp_path / "plain.tar", ".")
    assert tarfile.is_tarfile(tmp_path / "plain.tar")
    assert found(tmp_path / "plain.tar") == []
