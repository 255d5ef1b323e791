"""Copies out of registries: all of an image, resumed where the connection breaks."""

import json
import random

import pytest

import orlop
from orlop.digest import Digest
from orlop.errors import DigestMismatchError, NotFoundError, UnsupportedError
from orlop.layout import list_images, parse_place
from orlop.mediatype import OCI_INDEX, OCI_LAYER_NONDISTRIBUTABLE, OCI_MANIFEST
from orlop.testing import faults
from orlop.testing.registry import FaultyRegistry
from support.images import file, tar

LAYERS = [tar(file(f"{n}", random.Random(n).randbytes(300_000))) for n in range(3)]
FORMS = ("oci", "oci-archive", "docker-archive", "dir")


@pytest.fixture
def registry():
    with FaultyRegistry() as opened:
        yield opened


@pytest.fixture
def index(registry):
    """The descriptor of an index of two platforms, `all:1`."""
    children = [
        {
            **registry.add_image("all", architecture, LAYERS[: number + 1]).encode(),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for number, architecture in enumerate(("amd64", "arm64"))
    ]
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()
    return registry.put_manifest("all", raw, OCI_INDEX, "1")


@pytest.mark.parametrize("form", FORMS)
def test_all_of_an_index(form, registry, index, tmp_path):
    source = str(registry.reference("all", "1"))
    copied = orlop.copy(source, f"{form}:{tmp_path}/out")
    names = () if form == "dir" else (source,)
    assert (copied.digest, copied.names, copied.notes) == (index.digest, names, ())
    again = orlop.copy(f"{form}:{tmp_path}/out", f"oci:{tmp_path}/again", all_platforms=True)
    assert again.digest == index.digest


def test_its_name_is_written_whole_and_as_a_tag(registry, index, tmp_path):
    source = registry.reference("all", "1")
    orlop.copy(f"docker://{source}", f"oci:{tmp_path}/out")
    (listed,) = list_images(parse_place(f"oci:{tmp_path}/out"))
    assert (listed.selector, listed.names) == ("1", (str(source),))


def test_a_reference_by_digest_names_nothing(registry, index, tmp_path):
    source = f"{registry.address}/all@{index.digest}"
    copied = orlop.copy(source, f"docker-archive:{tmp_path}/out.tar")
    assert (copied.digest, copied.names) == (index.digest, ())


@pytest.mark.parametrize("form", FORMS)
def test_a_connection_that_breaks_is_gone_on_with(form, registry, tmp_path):
    made = registry.add_image("app", "1", LAYERS)
    registry.fail("blob", faults.close_after(100_000), times=2)
    copied = orlop.copy(str(registry.reference("app", "1")), f"{form}:{tmp_path}/out")
    assert copied.digest == made.digest


def test_a_blob_that_is_another(registry, tmp_path):
    registry.add_image("app", "1", LAYERS)
    registry._contents["app/blobs", Digest.of(LAYERS[1])] = (
        "application/octet-stream",
        bytes(len(LAYERS[1])),
    )
    with pytest.raises(DigestMismatchError):
        orlop.copy(str(registry.reference("app", "1")), f"oci-archive:{tmp_path}/out.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_layers_that_may_not_be_distributed(form, registry, tmp_path):
    made = registry.add_image("app", "0", LAYERS)
    document = json.loads(registry._contents["app/manifests", made.digest][1])
    document["layers"][0]["mediaType"] = OCI_LAYER_NONDISTRIBUTABLE
    made = registry.put_manifest("app", json.dumps(document).encode(), OCI_MANIFEST, "1")
    del registry._contents["app/blobs", Digest.of(LAYERS[0])]
    copied = orlop.copy(str(registry.reference("app", "1")), f"{form}:{tmp_path}/out")
    assert copied.digest == made.digest
    (note,) = copied.notes
    assert Digest.of(LAYERS[0]) in note
    del registry._contents["app/blobs", Digest.of(LAYERS[1])]
    with pytest.raises(NotFoundError, match=Digest.of(LAYERS[1])):
        orlop.copy(str(registry.reference("app", "1")), f"{form}:{tmp_path}/other")


def test_nothing_goes_into_a_registry(registry, index, tmp_path):
    source = str(registry.reference("all", "1"))
    with pytest.raises(UnsupportedError, match="into registries"):
        orlop.copy(source, f"{registry.address}/other:1")
    assert registry.seen == []
    with pytest.raises(UnsupportedError, match="not copied at once"):
        orlop.copy_all(source, f"oci:{tmp_path}/out")
