import gzip
import io

import pytest

from orlop.content import VerifyingReader
from orlop.digest import Digest
from orlop.errors import DigestMismatchError, SizeMismatchError

DATA = bytes(range(256)) * 20
DIGEST = Digest.of(DATA)


def reader(data=DATA, digest=DIGEST, size=None):
    return VerifyingReader(io.BytesIO(data), digest, len(DATA) if size is None else size)


@pytest.mark.parametrize("step", [1, 7, 4096, len(DATA), len(DATA) + 1])
def test_hands_out_everything(step):
    with reader() as stream:
        assert b"".join(iter(lambda: stream.read(step), b"")) == DATA


@pytest.mark.parametrize("step", [1, 7, 4096, len(DATA)])
def test_last_bytes_of_damaged_content_are_not_handed_out(step):
    damaged = DATA[:-1] + b"?"
    with reader(damaged) as stream:
        for _ in range(len(DATA) // step - (len(DATA) % step == 0)):
            assert len(stream.read(step)) == step
        with pytest.raises(DigestMismatchError) as caught:
            stream.read(step)
    assert caught.value.actual == Digest.of(damaged)


def test_content_that_ends_early():
    with reader(DATA[:-1]) as stream, pytest.raises(SizeMismatchError) as caught:
        stream.read()
    assert (caught.value.expected, caught.value.actual) == (len(DATA), len(DATA) - 1)
    with reader(DATA[:5]) as stream:
        assert stream.read(10) == DATA[:5]
        with pytest.raises(SizeMismatchError):
            stream.read(10)


def test_nothing_is_read_past_the_size():
    source = io.BytesIO(DATA + b"more")
    with VerifyingReader(source, DIGEST, len(DATA)) as stream:
        assert stream.read(10**9) == DATA
        assert source.tell() == len(DATA)
        assert stream.read() == b""


def test_empty_content_is_verified():
    with reader(b"", Digest.of(b""), 0) as stream:
        assert stream.read() == b""
    with reader(b"", DIGEST, 0) as stream, pytest.raises(DigestMismatchError):
        stream.read(1)


def test_readinto_and_buffering():
    with reader() as stream:
        buffer = bytearray(300)
        assert stream.readinto(buffer) == 300
        assert bytes(buffer) == DATA[:300]
    with io.BufferedReader(reader()) as buffered:
        assert buffered.read() == DATA
    packed = gzip.compress(DATA)
    with gzip.open(reader(packed, Digest.of(packed), len(packed))) as unpacked:
        assert unpacked.read() == DATA


def test_closing_closes_the_source():
    source = io.BytesIO(DATA)
    stream = VerifyingReader(source, DIGEST, len(DATA))
    stream.close()
    stream.close()
    assert source.closed
    with pytest.raises(ValueError, match="closed"):
        stream.read()
