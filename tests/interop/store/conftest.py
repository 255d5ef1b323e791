import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import orlop
from orlop.tree import Node
from support.peers import ContainersStorage, umoci_unpack
from support.views import view, wrong_link_counts

DRIVERS = ("erofs", "overlay", "directory")


@dataclass
class Shown:
    """What orlop shows of an image with one driver.

    Attributes:
        tree: What is seen.
        driver: What it was mounted with in the end.
        wrong_link_counts: The inodes whose `st_nlink` is wrong.
    """

    tree: Node
    driver: str
    wrong_link_counts: list


def show(place, source, driver, check=lambda store, image, root: None):
    """Pull an image into a store, mount it, and look at it."""
    with orlop.open_store(place / "root", place / "run") as store:
        image = store.pull(source, driver=driver)
        with image.mount(driver=driver) as root:
            (mount,) = store.mounts()
            check(store, image, root)
            return Shown(view(root), mount.driver, wrong_link_counts(root))


@pytest.fixture(scope="session")
def orlop_shows(tmp_path_factory):
    """Show an image with a driver, in a store of its own."""

    def shows(source, driver="erofs", **options):
        return show(tmp_path_factory.mktemp(driver), source, driver, **options)

    return shows


@pytest.fixture(scope="session")
def umoci_shows(tmp_path_factory):
    """Unpack an image of a layout with umoci, and look at it."""

    def shows(layout, tag="latest"):
        return view(umoci_unpack(layout, tag, tmp_path_factory.mktemp("umoci") / "rootfs"))

    return shows


@pytest.fixture(scope="session")
def containers_storage(tmp_path_factory):
    """podman's and buildah's store by driver, made when it is first asked for."""
    made = {}

    def store(driver):
        if driver not in made:
            made[driver] = ContainersStorage(tmp_path_factory.mktemp("peers") / driver, driver)
        return made[driver]

    yield store
    for each in made.values():
        each.close()


@pytest.fixture(scope="session")
def podman_shows(containers_storage):
    """Mount an image with podman, and look at it."""

    def shows(source, driver="vfs"):
        return view(containers_storage(driver).mount(source))

    return shows


@pytest.fixture(scope="session")
def debian_min():
    """The layout of a real Debian, which is built once and kept.

    `ORLOP_TEST_IMAGES` names a directory where `bench/make-images` put its images before.
    """
    bench = Path(__file__).parents[3] / "bench"
    images = Path(os.environ.get("ORLOP_TEST_IMAGES", bench / "work/images"))
    subprocess.run([sys.executable, bench / "make-images", images, "debian-min"], check=True)
    return images / "debian-min"
