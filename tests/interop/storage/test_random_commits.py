"""Images of containers that were changed at random look the same wherever they are unpacked.

The first is made by GNU tar; each commit stands on the one before. What orlop shows of the last has
to be what the plain directory has that was changed alike, and what each peer unpacks.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

import orlop
from orlop.testing.storage.changes import RandomChanges
from orlop.testing.storage.plain import PlainDirectory
from orlop.tree import Node
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

SEEDS = (3, 7, 8, 18, 26)
CHANGES = 50
COMMITS = (("zstd",), ("gzip", "zstd"), ("zstd", "none", "gzip"))
NAME = "docker.io/library/made:1"


@dataclass
class Made:
    """What came of some commits.

    Attributes:
        layout: The image as an OCI layout, and the name that it has in there.
        archive: The same as one file.
        tree: What orlop shows of it.
        plain: What it has to show.
    """

    layout: str
    archive: Path
    tree: Node
    plain: Node


class RandomCommits:
    """A plain directory, and an image that changes as it does.

    Args:
        place: An existing directory for all of it.
        seed: Which changes are made, and how many commits.
    """

    def __init__(self, place, seed):
        self._place = place
        (place / "plain").mkdir(mode=0o755)
        self._plain = PlainDirectory(place / "plain", overlay=True)
        self._random = random.Random(seed)
        self._forms = COMMITS[seed % len(COMMITS)]

    def make(self):
        try:
            with orlop.open_store(
                self._place / "root", self._place / "run", driver="erofs"
            ) as store:
                store.pull(self._base(), tag="made:1")
                for form in self._forms:
                    self._commit(store, form)
                return self._copied(store)
        finally:
            self._plain.end()

    def _base(self):
        """The source of the first image."""
        RandomChanges(self._random, without_lists(powers()), self._plain).run(None, CHANGES)
        self._plain.drop_sockets()
        return image_of(self._plain.path, self._place)

    def _commit(self, store, form):
        container = store.containers.create("made:1")
        self._plain.begin()
        changes = RandomChanges(self._random, powers(), self._plain)
        with store.containers.mount(container.id) as path:
            changes.run(path, CHANGES)
        store.containers.commit(container.id, "made:1", compression=form)
        self._plain.drop_sockets()

    def _copied(self, store):
        layout, archive = f"{self._place}/layout:tag", self._place / "image.tar"
        orlop.copy("store:made:1", f"oci:{layout}", store=store)
        orlop.copy("store:made:1", f"oci-archive:{archive}:{NAME}", store=store)
        with store.stored_images.mount("made:1") as path:
            return Made(layout, archive, view(path), self._plain.view())


@pytest.fixture(scope="module", params=SEEDS)
def made(request, tmp_path_factory):
    return RandomCommits(tmp_path_factory.mktemp("made"), request.param).make()


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


def test_orlop_shows_the_plain_directory(made):
    assert differences(made.plain, made.tree) == []


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
