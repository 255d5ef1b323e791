import os

import pytest

from orlop._sys.space import has_room


def test_room(tmp_path):
    assert has_room(str(tmp_path), 1)
    assert not has_room(str(tmp_path), 1 << 62)
    assert os.listdir(tmp_path) == []


def test_what_has_no_files():
    assert not has_room("/proc", 1)


def test_no_directory(tmp_path):
    with pytest.raises(FileNotFoundError):
        has_room(str(tmp_path / "missing"), 1)
