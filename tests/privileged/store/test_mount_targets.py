"""Where an image may be shown, and where not."""

import os
from pathlib import Path

import pytest

from orlop.errors import InvalidImageError, NotFoundError
from support.stores import StoreUnderTest


def test_a_missing_target(command, image, tmp_path):
    with pytest.raises(FileNotFoundError, match="no directory to mount at"):
        image.mount(tmp_path / "missing")
    done = command.orlop("mount", "box", tmp_path / "missing")
    done.check_failure(3, f"{tmp_path / 'missing'}: no directory to mount at")


def test_a_file(image, tmp_path, store):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="no directory to mount at"):
        image.mount(tmp_path / "file")
    assert store.mounts() == []


def test_a_target_that_is_no_text(command, tmp_path, mounted):
    """It could not be recorded, and so nobody would find it again."""
    target = tmp_path / os.fsdecode(b"\xff")
    target.mkdir()
    command.orlop("mount", "box", target).check_failure(1, "not UTF-8")
    command.orlop("umount", target).check_failure(1, "not UTF-8")
    assert mounted() == []


def test_a_relative_target(command, target, mounted, monkeypatch):
    monkeypatch.chdir(target.parent)
    done = command.orlop("mount", "box", "target")
    assert done.out == f"{target}\n"
    assert mounted() == [target]
    monkeypatch.chdir("/")
    command.orlop("umount", "target").check_failure(3, "nothing of this store")
    monkeypatch.chdir(target.parent)
    assert command.orlop("umount", "target").code == 0
    assert mounted() == []


def test_a_link_to_a_directory(command, target, mounted):
    link = target.with_name("link")
    link.symlink_to(target)
    assert command.orlop("mount", "box", link).out == f"{target}\n"
    assert mounted() == [target]
    assert command.orlop("umount", link).code == 0
    assert mounted() == []


def test_mount_points_below_a_link(command, tmp_path, mounted):
    (tmp_path / "run-link").symlink_to(command.run)
    command.run.mkdir(exist_ok=True)
    command.run = tmp_path / "run-link"
    point = command.orlop("mount", "box").out.strip()
    assert command.orlop("umount", point).code == 0
    assert mounted() == []


def test_mount_points_by_two_names(command, tmp_path, mounted):
    """Those who call RUN by another name share its mounts."""
    point = command.orlop("mount", "box").out.strip()
    (tmp_path / "run-link").symlink_to(command.run)
    command.run = tmp_path / "run-link"
    assert command.orlop("mount", "box").out.strip() == point
    assert mounted() == [Path(point)]
    for _ in range(2):
        assert command.orlop("umount", "box").code == 0
    assert mounted() == []


def test_a_name_with_odd_characters(command, tmp_path, mounted):
    target = tmp_path / "a b\\c,d\t\N{SNOWMAN}"
    target.mkdir()
    assert command.orlop("mount", "box", target).code == 0
    assert mounted() == [target]
    assert command.orlop("umount", target).code == 0


def test_a_directory_that_is_not_empty_is_covered_and_comes_back(image, target):
    (target / "mine").write_text("mine")
    with image.mount(target) as rootfs:
        assert not (rootfs / "mine").exists()
    assert (target / "mine").read_text() == "mine"


def test_a_failed_mount_leaves_no_record(image, store, command, mounted):
    for index in command.root.glob("chains/*/*/index.erofs"):
        index.write_bytes(bytes(index.stat().st_size))
    with pytest.raises(InvalidImageError, match="no EROFS image"):
        image.mount()
    assert store.mounts() == []
    assert mounted() == []


def test_mount_points_may_be_passed_by_others_under_any_umask(image, command):
    before = os.umask(0o077)
    try:
        with image.mount() as rootfs:
            for path in (command.run, command.run / "mounts"):
                assert path.stat().st_mode & 0o777 == 0o711
            assert rootfs.stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(before)


def test_unmounting_what_is_not_mounted(store, target):
    with pytest.raises(NotFoundError, match="nothing of this store is mounted at"):
        store.unmount(target)
    with pytest.raises(NotFoundError, match="nothing of this store is mounted at"):
        store.unmount("box")
    with pytest.raises(NotFoundError, match="nothing of this store is mounted at"):
        store.unmount("/proc")


def test_two_stores_with_one_place_for_mount_points(command, layout, tmp_path, mounted):
    first = command.orlop("mount", "box").out
    other = StoreUnderTest(tmp_path / "other")
    other.run = command.run
    other.pull(layout.source, "--tag", "box")
    second = other.orlop("mount", "box").out
    assert mounted() == sorted(Path(point.strip()) for point in (first, second))
    assert first != second
    for store in (command, other):
        assert store.orlop("umount", "box").code == 0
    assert mounted() == []


def test_unmounting_an_image_names_where_it_is_mounted(command, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    command.orlop("mount", "box", str(target))
    done = command.orlop("umount", "box")
    done.check_failure(3, "nothing of this store is mounted at box")
    assert f"hint: it is mounted at {target}\n" in done.err
    assert command.orlop("umount", str(target)).code == 0
