import os

import pytest

from orlop.storage.staging import (
    discard,
    free_space,
    lease_of,
    publish,
    remove_path,
    staging_directory,
)


def test_a_staging_directory_is_its_leases_and_gone_afterwards(storage, lease):
    with staging_directory(storage.places, lease.id) as path:
        assert path.parent == storage.places.staging
        assert lease_of(path.name) == lease.id
        assert path.stat().st_mode & 0o777 == 0o700
        (path / "deep/below").mkdir(parents=True)
        (path / "deep/below/file").write_text("x")
    assert os.listdir(storage.places.staging) == []


def test_it_is_gone_after_errors_too(storage, lease):
    def work():
        with staging_directory(storage.places, lease.id) as path:
            (path / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert os.listdir(storage.places.staging) == []


def test_each_has_a_name_of_its_own(storage, lease):
    with (
        staging_directory(storage.places, lease.id) as one,
        staging_directory(storage.places, lease.id) as two,
    ):
        assert one != two


def test_publishing_moves_a_file_over_another(tmp_path):
    (tmp_path / "new").write_text("new")
    publish(tmp_path / "new", tmp_path / "made/target")
    (tmp_path / "newer").write_text("newer")
    publish(tmp_path / "newer", tmp_path / "made/target")
    assert (tmp_path / "made/target").read_text() == "newer"
    assert not (tmp_path / "newer").exists()


def test_publishing_moves_what_a_directory_replaces_into_the_staging_directory(tmp_path):
    (tmp_path / "target/old").mkdir(parents=True)
    (tmp_path / "staging/new/fresh").mkdir(parents=True)
    publish(tmp_path / "staging/new", tmp_path / "target")
    assert os.listdir(tmp_path / "target") == ["fresh"]
    assert os.listdir(tmp_path / "staging") == ["new.replaced"]


def test_discarding_takes_anything(tmp_path):
    (tmp_path / "directory/below").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for name in ("directory", "file", "link", "missing"):
        discard(tmp_path / name)
    assert os.listdir(tmp_path) == ["kept"]


def test_removing_follows_no_link(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/link").symlink_to(tmp_path / "kept")
    remove_path(tmp_path / "gone")
    assert (tmp_path / "kept/file").exists()
    assert not (tmp_path / "gone").exists()


def test_free_space(tmp_path):
    assert free_space(tmp_path) > 0
