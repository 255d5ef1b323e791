"""Layouts that the drivers write, read by skopeo and umoci; and those that they write, edited."""

import json
import subprocess
import tarfile
from dataclasses import replace

import pytest

from orlop.digest import Digest
from orlop.layout import (
    ArchiveDriver,
    ArchiveReader,
    DirectoryDriver,
    InitOptions,
    TarDriver,
    init,
    new_blob_writer,
    put_manifest_descriptor_to_index,
    read_blob,
    read_image_layout,
    read_index,
    remove_manifest_descriptor_from_index,
    write_blob,
    write_index,
    write_json_blob,
)
from orlop.mediatype import OCI_CONFIG, OCI_LAYER
from orlop.spec import REF_NAME, Descriptor, Index, Manifest
from support.images import directory, file, tar
from support.marks import needs_tools

pytestmark = needs_tools("skopeo", "umoci")


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def write_image(driver, tag):
    """An image of one layer, blob by blob; the descriptor with its tag."""
    data = tar(directory("etc"), file("etc/motd", tag.encode()))
    with new_blob_writer(driver) as writer:
        writer.write(data)
        writer.commit(len(data), Digest.of(data))
    layer = Descriptor.of(OCI_LAYER, data)
    rootfs = {"type": "layers", "diff_ids": [layer.digest]}
    config = write_json_blob(
        driver, {"architecture": "amd64", "os": "linux", "rootfs": rootfs}, OCI_CONFIG
    )
    manifest = Manifest(config=config, layers=(layer,))
    write_blob(driver, manifest.raw)
    return replace(manifest.descriptor(), annotations={REF_NAME: tag})


def fill(driver, *tags):
    init(driver)
    for tag in tags:
        put_manifest_descriptor_to_index(driver, write_image(driver, tag))


def digest_by_skopeo(place):
    return Digest.of(run("skopeo", "inspect", "--raw", place))


def test_a_directory_is_read_by_skopeo_and_umoci(tmp_path):
    layout = tmp_path / "layout"
    driver = DirectoryDriver(layout)
    fill(driver, "one", "two")
    assert run("umoci", "list", "--layout", layout).split() == [b"one", b"two"]
    run("umoci", "unpack", "--image", f"{layout}:two", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "etc" / "motd").read_text() == "two"
    manifests = read_index(driver).manifests
    assert [digest_by_skopeo(f"oci:{layout}:{tag}") for tag in ("one", "two")] == [
        found.digest for found in manifests
    ]
    run("skopeo", "copy", f"oci:{layout}:one", f"dir:{tmp_path}/copied")


@pytest.mark.parametrize("form", ["archive", "tar"])
def test_a_tar_is_read_by_skopeo(tmp_path, form):
    path = tmp_path / "image.tar"
    if form == "archive":
        with ArchiveDriver(path) as driver:
            fill(driver, "one")
    else:
        with tarfile.open(path, "w") as archive:
            driver = TarDriver(archive)
            init(driver, InitOptions(skip_index=True))
            write_index(driver, Index(manifests=(write_image(driver, "one"),)))
    with ArchiveReader(path) as reader:
        assert digest_by_skopeo(f"oci-archive:{path}:one") == read_index(reader).manifests[0].digest
    run("skopeo", "copy", f"oci-archive:{path}:one", f"oci:{tmp_path}/layout:one")
    found = read_index(DirectoryDriver(tmp_path / "layout"))
    assert found.manifests[0].annotations[REF_NAME] == "one"


def test_what_skopeo_and_umoci_wrote_is_edited(tmp_path):
    """They go on with it afterwards, and nothing that they wrote is lost."""
    layout = tmp_path / "layout"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:empty")
    driver = DirectoryDriver(layout)
    assert read_image_layout(driver).version == "1.0.0"
    before = read_index(driver)
    put_manifest_descriptor_to_index(driver, write_image(driver, "ours"))
    assert read_index(driver).manifests[:1] == before.manifests
    run("umoci", "tag", "--image", f"{layout}:ours", "same")
    run("skopeo", "copy", f"oci:{layout}:ours", f"oci:{layout}:third")
    tags = sorted(found.annotations[REF_NAME] for found in read_index(driver).manifests)
    assert tags == ["empty", "ours", "same", "third"]
    remove_manifest_descriptor_from_index(driver, "empty")
    assert sorted(run("umoci", "list", "--layout", layout).split()) == [b"ours", b"same", b"third"]


def test_an_archive_of_skopeo_is_edited(tmp_path):
    fill(DirectoryDriver(tmp_path / "layout"), "one")
    path = tmp_path / "image.tar"
    run("skopeo", "copy", f"oci:{tmp_path}/layout:one", f"oci-archive:{path}:one")
    with ArchiveDriver(path) as driver:
        put_manifest_descriptor_to_index(driver, write_image(driver, "two"))
    for tag in ("one", "two"):
        raw = run("skopeo", "inspect", "--raw", f"oci-archive:{path}:{tag}")
        with ArchiveReader(path) as reader:
            layer = json.loads(raw)["layers"][0]
            assert len(read_blob(reader, Digest(layer["digest"]))) == layer["size"]
