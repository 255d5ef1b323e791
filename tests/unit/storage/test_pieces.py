"""Content that ends before it should: a broken tar, or a file that somebody writes to."""

import os

import pytest

from orlop.digest import Digest
from orlop.errors import ConflictError, InvalidLayerError
from orlop.storage.layers.pieces import PIECE, iter_pieces
from orlop.tree import Node
from orlop.tree.node import S_IFREG

SOURCE = Digest.of(b"source")


def pieces(path, *, size, offset=0, segments=None):
    node = Node(
        S_IFREG | 0o644, 0, 0, size=size, source=SOURCE, offset=offset, segments=segments
    )  # fmt: skip
    fd = os.open(path, os.O_RDONLY)
    try:
        return list(iter_pieces(node, lambda _: fd))
    finally:
        os.close(fd)


def test_what_is_long_enough(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * (PIECE + 1))
    assert pieces(tmp_path / "file", size=PIECE + 1) == [b"x" * PIECE, b"x"]


def test_a_file_that_was_cut_off_is_named(tmp_path):
    """As a commit of a container finds it that runs meanwhile."""
    (tmp_path / "file").write_bytes(b"x" * 99)
    with pytest.raises(ConflictError, match=f"^{tmp_path}/file: was cut off") as caught:
        pieces(tmp_path / "file", size=100)
    assert caught.value.hint


@pytest.mark.parametrize("segments", [None, ((0, 50), (50, 50))])
def test_a_tar_that_is_too_short_is_named(tmp_path, segments):
    (tmp_path / "tar").write_bytes(b"x" * 611)
    with pytest.raises(InvalidLayerError, match=f"^{tmp_path}/tar: ends inside"):
        pieces(tmp_path / "tar", size=100, offset=512, segments=segments)
