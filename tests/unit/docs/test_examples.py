"""The image that lies in the repository suits every tool, and is what its README says."""

import hashlib
import io
import tarfile
from pathlib import Path

from orlop.layout import ArchiveReader, read_blob, read_index
from orlop.spec import Manifest

PLACE = Path(__file__).parents[3] / "examples/busybox"


def layers():
    with ArchiveReader(PLACE / "busybox.tar") as driver:
        [target] = read_index(driver).manifests
        manifest = Manifest.decode(read_blob(driver, target.digest, target.size))
        for layer in manifest.layers:
            data = io.BytesIO(read_blob(driver, layer.digest, layer.size))
            with tarfile.open(fileobj=data) as tar:
                yield tar.getmembers()


def test_no_layer_links_to_a_file_of_another():
    """podman and containerd unpack each layer alone, where such a link leads nowhere."""
    for members in layers():
        names = {member.name for member in members}
        assert {member.linkname for member in members if member.islnk()} <= names


def test_its_readme_has_its_hash():
    found = hashlib.sha256((PLACE / "busybox.tar").read_bytes()).hexdigest()
    assert f"`{found}`" in (PLACE / "README.md").read_text()
