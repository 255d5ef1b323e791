"""Disks made by nobody, whose store it is, or who may only read it."""

import os

import pytest

import orlop
from orlop.disks import Builder, BuildOptions, DiskOptions, Store
from orlop.errors import CreateDirError, NotFoundError
from support.nobody import as_nobody, unprivileged_place
from support.stores import StoreUnderTest

OPTIONS = [
    DiskOptions(),
    DiskOptions(fs="ext4"),
    DiskOptions(layout="layers"),
    DiskOptions(layout="indexed"),
    DiskOptions(verity=True),
]


@pytest.fixture
def place(layout):
    with unprivileged_place() as place:
        copy = place / "layout"
        done = os.system(f"cp -r {layout.path} {copy} && chmod -R a+rX {copy}")
        assert done == 0
        yield place


def make_disks(place, read_only=False):
    with orlop.open_store(place / "root", place / "run", read_only=read_only) as store:
        image = (
            store.image("box") if read_only else store.pull(f"oci:{place}/layout:box", tag="box")
        )
        return [
            [disk.path.read_bytes() for disk in image.disks(place / f"disk{at}", options)]
            for at, options in enumerate(OPTIONS)
        ]


def test_nobody_makes_the_disks_that_root_makes(place, tmp_path):
    (tmp_path / "layout").symlink_to(place / "layout")
    assert as_nobody(make_disks, place) == make_disks(tmp_path)


def build(place):
    results = []
    for disk in OPTIONS:
        options = BuildOptions(
            cache_dir=place / "root", run_dir=place / "run", disk=disk, canonical=True
        )
        with Builder(options) as builder:
            result = builder.build(f"oci:{place}/layout:box")
            builder.save_tag("mine", result)
            again = builder.build(f"oci:{place}/layout:box")
            results.append((result.cached, again.cached, builder.store.get("mine").layers))
            builder.store.remove("mine")
    return results


def test_nobody_builds(place):
    results = as_nobody(build, place)
    assert all(again for _, again, _ in results)
    built = [not cached for cached, _, _ in results]
    assert built == [True, True, False, True, True], "the canonical ones of the first are layers"


def test_a_store_that_is_only_read(place, tmp_path):
    (tmp_path / "layout").symlink_to(place / "layout")
    expected = make_disks(tmp_path)
    assert make_disks(tmp_path, read_only=True) == expected


def test_a_store_that_is_only_read_and_has_no_tars(layout, tmp_path):
    StoreUnderTest(tmp_path).pull(layout.source, "--tag", "box")
    for each in (tmp_path / "root/forms").glob("*/*/tar"):
        each.unlink()
    with (
        orlop.open_store(tmp_path / "root", tmp_path / "run", read_only=True) as store,
        pytest.raises(NotFoundError, match="is not unpacked as a tar, and the store is only read"),
    ):
        store.image("box").disks(tmp_path / "disk")
    assert not (tmp_path / "disk").exists()


def open_that_of_another(place):
    with pytest.raises(CreateDirError, match="cannot be made or opened"):
        Store(place / "root", place / "run")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")
def test_the_store_of_another(place):
    with Store(place / "root", place / "run"):
        pass
    as_nobody(open_that_of_another, place)
