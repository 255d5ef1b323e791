"""Unpacked directories that were changed at random and repacked look the same wherever they go.

Each image is unpacked, changed and repacked several times; the last one, as every peer unpacks it,
has to be what the directory is.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

import orlop
from orlop.testing.storage.changes import RandomChanges
from orlop.testing.storage.plain import PlainDirectory
from orlop.tree import Node
from orlop.unpack import RepackOptions
from support.marks import needs_root, needs_tools
from support.peer_views import (
    image_of,
    powers,
    since_1970,
    since_1970_but_links,
    without_empty_values,
    without_inherited_lists,
    without_lists,
    without_trusted,
)
from support.peers import ContainersStorage, containerd, run, umoci_unpack
from support.views import changed, differences, view

pytestmark = [
    *needs_tools("tar", "skopeo", "umoci", "podman", "containerd", "ctr"),
    *needs_root,
]

SEEDS = (2, 5, 11, 23)
CHANGES = 50
COMPRESSION = ("gzip", "none", "zstd")
NAME = "docker.io/library/made:1"


@dataclass
class Made:
    """What came of some repacks.

    Attributes:
        layout: The last image as an OCI layout, and the name that it has in there.
        archive: The same as one file.
        tree: What orlop shows of it.
        plain: The directory that it was made of.
        layers: The diffIDs that were made, once by records and once by content.
    """

    layout: str
    archive: Path
    tree: Node
    plain: Node
    layers: list


def make(place, seed):
    choice = random.Random(seed)
    (place / "plain").mkdir(mode=0o755)
    plain = PlainDirectory(place / "plain", overlay=False)
    RandomChanges(choice, without_lists(powers()), plain).run(None, CHANGES)
    plain.drop_sockets()
    layers = []
    with orlop.open_store(place / "root", place / "run", driver="erofs") as store:
        image = store.pull(image_of(plain.path, place), tag="made:1")
        for number, compression in enumerate(COMPRESSION):
            bundle = place / f"bundle-{number}"
            image.unpack(bundle)
            directory = PlainDirectory(bundle / "rootfs", overlay=False)
            RandomChanges(choice, powers(), directory).run(None, CHANGES)
            layers.append(
                [
                    store.repack(
                        bundle, "made:1", options=RepackOptions(compression=compression, hash=every)
                    ).layer
                    for every in (False, True)
                ]
            )
            image = store.image("made:1")
        directory.drop_sockets()
        layout, archive = f"{place}/layout:tag", place / "image.tar"
        orlop.copy("store:made:1", f"oci:{layout}", store=store)
        orlop.copy("store:made:1", f"oci-archive:{archive}:{NAME}", store=store)
        with store.stored_images.mount("made:1") as path:
            return Made(layout, archive, view(path), view(bundle / "rootfs"), layers)


@pytest.fixture(scope="module", params=SEEDS)
def made(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp("made"), request.param)


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    """Its place has a short name: podman takes no long ones."""
    storage = ContainersStorage(tmp_path_factory.mktemp("p") / "s", "overlay")
    yield storage
    storage.close()


@pytest.fixture(scope="module")
def ctr(tmp_path_factory):
    with containerd(tmp_path_factory.mktemp("containerd") / "place") as client:
        yield client


def test_orlop_shows_the_directory(made):
    assert differences(made.plain, made.tree) == []


def test_what_was_noted_finds_the_same_changes_as_reading_everything(made):
    for by_records, by_content in made.layers:
        assert by_records is not None
        assert by_records == by_content


def test_umoci_unpacks_it(made, tmp_path):
    """umoci 0.4.7 reads no zstd, so skopeo undoes it."""
    run("skopeo", "copy", "--dest-decompress", f"oci:{made.layout}", f"dir:{tmp_path}/dir")
    run("skopeo", "copy", f"dir:{tmp_path}/dir", f"oci:{tmp_path}/layout:tag")
    found = view(umoci_unpack(tmp_path / "layout", "tag", tmp_path / "rootfs"))
    assert differences(changed(made.tree, without_empty_values), found) == []


def test_podman_mounts_it(made, podman):
    """The root is podman's own: it shows that of the uppermost layer's directory."""
    expected = changed(changed(made.tree, since_1970_but_links), without_empty_values)
    found = without_inherited_lists(expected, view(podman.mount(f"oci:{made.layout}")))
    assert differences(expected, found, root=False) == []


def test_containerd_mounts_it(made, ctr, tmp_path):
    """containerd leaves entries of the root out."""
    ctr("images", "import", made.archive)
    (tmp_path / "rootfs").mkdir()
    ctr("images", "mount", NAME, tmp_path / "rootfs")
    try:
        found = view(tmp_path / "rootfs")
    finally:
        ctr("images", "unmount", "--rm", tmp_path / "rootfs")
    expected = changed(changed(made.tree, since_1970), without_trusted)
    found = without_inherited_lists(expected, found)
    assert differences(expected, found, root=False) == []
