"""Paths in a layout, whoever asks for them."""

import pytest

from orlop.digest import Digest
from orlop.errors import UnsafePathError
from orlop.layout.driver import blob_path, check_path
from orlop.layout.driver.path import MAX_PATH_LENGTH


def test_a_path_below_the_layout_is_returned():
    for path in ("oci-layout", "blobs/sha256/x", "a" * MAX_PATH_LENGTH, "..x", "a/...", "ü/\n"):
        assert check_path(path) == path


def test_the_longest_blob_has_a_path():
    digest = Digest("a" * 200 + ":" + "b" * 311)
    assert check_path(blob_path(digest)).endswith("b" * 311)


def test_a_message_is_short_and_harmless():
    for path in ("\x1b[2J/..", "x" * 100_000):
        with pytest.raises(UnsafePathError) as caught:
            check_path(path)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300
