"""Two names that change places in one step."""

import pytest

from orlop._sys.rename import exchange


def test_each_name_means_what_the_other_meant(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/inside").write_bytes(b"1")
    (tmp_path / "other").write_bytes(b"2")
    assert exchange(str(tmp_path / "one"), str(tmp_path / "other"))
    assert (tmp_path / "one").read_bytes() == b"2"
    assert (tmp_path / "other/inside").read_bytes() == b"1"


def test_a_name_that_is_missing(tmp_path):
    (tmp_path / "one").write_bytes(b"1")
    with pytest.raises(FileNotFoundError):
        exchange(str(tmp_path / "one"), str(tmp_path / "other"))
    assert (tmp_path / "one").read_bytes() == b"1"
