"""Removing the control groups of a container, shown on directories of another filesystem."""

import errno

import pytest

from orlop._sys.cgroups import group_path, remove_groups


def test_groups_go_from_all_hierarchies_with_what_they_hold(tmp_path):
    for hierarchy in ("pids", "memory", "unified"):
        (tmp_path / hierarchy / "orlop-one" / "inner" / "most").mkdir(parents=True)
        (tmp_path / hierarchy / "orlop-other").mkdir()
    (tmp_path / "orlop-one").mkdir()
    assert group_path("one") == "/orlop-one"
    remove_groups("one", tmp_path)
    assert list(tmp_path.rglob("orlop-one")) == []
    assert len(list(tmp_path.rglob("orlop-other"))) == 3
    remove_groups("one", tmp_path)


def test_a_machine_without_control_groups(tmp_path):
    remove_groups("one", tmp_path / "missing")


def test_a_group_that_is_in_use(tmp_path, monkeypatch):
    def refuse(path):
        raise OSError(errno.EBUSY, "busy", path)

    (tmp_path / "pids/orlop-one").mkdir(parents=True)
    monkeypatch.setattr("orlop._sys.cgroups._PATIENCE", 0.05)
    monkeypatch.setattr("os.rmdir", refuse)
    with pytest.raises(OSError, match="busy"):
        remove_groups("one", tmp_path)
