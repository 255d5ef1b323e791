"""Blobs on their way: as many bytes as their descriptors say, and those."""

import io

import pytest

from orlop.digest import Digest
from orlop.errors import DigestMismatchError, SizeMismatchError
from orlop.layout.write.pieces import CHUNK_SIZE, copy_verified, iter_pieces
from orlop.mediatype import OCI_LAYER
from orlop.spec import Descriptor

DATA = bytes(3 * CHUNK_SIZE)


def described(size, data=DATA):
    return Descriptor(media_type=OCI_LAYER, digest=Digest.of(data), size=size)


def test_all_of_it():
    written = []
    copy_verified(described(len(DATA)), io.BytesIO(DATA), written.append)
    assert b"".join(written) == DATA


def test_of_too_many_bytes_no_more_than_there_should_be_are_handed_on():
    written = []
    with pytest.raises(SizeMismatchError) as caught:
        written.extend(iter_pieces(described(len(DATA) - 1), io.BytesIO(DATA)))
    assert caught.value.expected == len(DATA) - 1
    assert sum(map(len, written)) < len(DATA)


def test_too_few_bytes():
    with pytest.raises(SizeMismatchError) as caught:
        list(iter_pieces(described(len(DATA) + 1), io.BytesIO(DATA)))
    assert (caught.value.expected, caught.value.actual) == (len(DATA) + 1, len(DATA))


def test_other_bytes():
    with pytest.raises(DigestMismatchError) as caught:
        copy_verified(described(len(DATA), b"other"), io.BytesIO(DATA), len)
    assert (caught.value.expected, caught.value.actual) == (Digest.of(b"other"), Digest.of(DATA))
