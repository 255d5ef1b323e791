"""Names that `Store.image_store` has given to what is no image, or not here: they harm nobody."""

import json

import pytest

import orlop
from orlop.images import ImageRecord
from orlop.mediatype import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from orlop.platform import Platform
from orlop.spec import Descriptor, ImageConfig, Index, Manifest

TEXT = Descriptor.of("text/plain", b"hello")
ARTIFACT = Manifest(config=Descriptor.of(OCI_EMPTY, b"{}"), layers=(TEXT,)).raw
NOTHING = Index(manifests=()).raw
CONFIG = ImageConfig(platform=Platform(os="linux", architecture="amd64"), diff_ids=())
IMAGE = Manifest(config=CONFIG.descriptor(), layers=()).raw
TARGETS = {
    "missing": Descriptor.of(OCI_MANIFEST, b"nowhere"),
    "text": TEXT,
    "artifact": Descriptor.of(OCI_MANIFEST, ARTIFACT),
    "nothing": Descriptor.of(OCI_INDEX, NOTHING),
    "later": Descriptor.of(OCI_MANIFEST, IMAGE),
}


@pytest.fixture
def records(empty, layout):
    empty.pull(layout.source, "--tag", "box")
    with orlop.open_store(empty.root, empty.run) as store, store.lease() as lease:
        for name, target in TARGETS.items():
            store.image_store.create(ImageRecord(name=f"example.org/{name}:1", target=target))
        for raw in (b"{}", b"hello", ARTIFACT, NOTHING, CONFIG.raw, IMAGE):
            store.content(lease).put(raw)
    return empty


def test_all_names_are_listed(records):
    found = json.loads(records.orlop("images", "--format", "json").out)
    assert {
        each["name"].split("/")[-1][:-2]: each["platform"] for each in found[1:]
    } == dict.fromkeys(sorted(TARGETS))
    assert len(records.orlop("images").out.splitlines()) == len(TARGETS) + 2


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("missing", 3, "is not stored"),
        ("text", 1, "'text/plain' is neither manifest nor index"),
        ("artifact", 1, "config of type 'application/vnd.oci.empty.v1+json'"),
        ("nothing", 3, "has no image"),
    ],
)
def test_what_it_takes_an_image_for_is_refused(records, name, code, says):
    for command in ("inspect", "history", "ls", "mount"):
        records.orlop(command, f"example.org/{name}:1").check_failure(code, says)


def test_what_came_after_its_name_is_an_image(records):
    found = json.loads(records.orlop("inspect", "example.org/later:1", "--format", "json").out)
    assert found["config"] == json.loads(CONFIG.raw)
    assert records.orlop("image", "check", "example.org/later:1").code == 0


def test_raw_is_whatever_it_is(records):
    assert records.orlop("inspect", "--raw", "example.org/text:1").out == "hello"
