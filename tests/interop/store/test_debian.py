"""A real Debian, thousands of files of packages: shown as umoci unpacks and podman mounts it."""

import pytest

from support.marks import needs_root, needs_tools
from support.stores import StoreUnderTest
from support.views import differences, view

pytestmark = [*needs_root, *needs_tools("debootstrap", "umoci", "podman"), pytest.mark.slow]


@pytest.fixture(scope="module")
def source(debian_min):
    return f"oci:{debian_min}:latest"


@pytest.fixture(scope="module")
def ours(source, orlop_shows):
    shown = orlop_shows(source)
    assert shown.driver == "erofs"
    return shown


def test_it_is_real(ours):
    assert {b"bin", b"etc", b"usr", b"var"} <= ours.tree.children.keys()
    assert ours.wrong_link_counts == []


def test_as_umoci_unpacks(ours, debian_min, umoci_shows):
    assert differences(ours.tree, umoci_shows(debian_min)) == []


def test_as_podman_mounts(ours, source, podman_shows):
    assert differences(ours.tree, podman_shows(source, "overlay"), root=False) == []


@pytest.mark.parametrize("driver", ["overlay", "directory"])
def test_all_drivers_show_the_same(driver, ours, source, orlop_shows):
    other = orlop_shows(source, driver)
    assert other.driver == driver
    assert driver == "overlay" or other.wrong_link_counts == []
    assert differences(ours.tree, other.tree) == []


def test_the_command(ours, source, tmp_path):
    store = StoreUnderTest(tmp_path)
    target = tmp_path / "target"
    target.mkdir()
    try:
        for words in (("pull", source, "--tag", "debian:min"), ("mount", "debian:min", target)):
            done = store.command(*words)
            assert done.code == 0, done
        assert differences(ours.tree, view(target)) == []
    finally:
        done = store.command("umount", target)
    assert done.code == 0, done
    assert list(target.iterdir()) == []
