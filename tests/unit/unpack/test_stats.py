"""The records of what files were like: exact, and refused when they are not what was written."""

import os

import pytest

from orlop.errors import InvalidDocumentError
from orlop.unpack.stats import decode_stats, encode_stats, read_stats


@pytest.fixture
def directory(tmp_path):
    for name in ("b/c/d", "a", "b/e"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b/c/file").write_bytes(b"12345")
    (tmp_path / os.fsdecode(b"\xff\n")).symlink_to("nowhere")
    os.utime(tmp_path / "a", ns=(-5, -5))
    handle = os.open(tmp_path, os.O_RDONLY)
    yield handle
    os.close(handle)


def flat(directory, path=b""):
    found = {path: directory.stat}
    for name, stat in directory.entries.items():
        if name in directory.below:
            found |= flat(directory.below[name], path + b"/" + name)
        else:
            found[path + b"/" + name] = stat
    return found


def test_they_are_read_as_they_were_written(directory):
    stats = read_stats(directory)
    again = decode_stats(encode_stats(stats))
    assert flat(again) == flat(stats)
    assert len(flat(again)) == 8
    assert encode_stats(again) == encode_stats(stats)


def test_every_flipped_byte_is_noticed(directory):
    data = bytearray(encode_stats(read_stats(directory)))
    for at in range(len(data)):
        data[at] ^= 0x41
        with pytest.raises(InvalidDocumentError):
            decode_stats(bytes(data))
        data[at] ^= 0x41


def test_what_is_cut_short_is_noticed(directory):
    data = encode_stats(read_stats(directory))
    for length in range(len(data)):
        with pytest.raises(InvalidDocumentError):
            decode_stats(data[:length])


def test_another_version_is_named(directory):
    data = bytearray(encode_stats(read_stats(directory)))
    data[8] = 7
    with pytest.raises(InvalidDocumentError, match="version 7, not 1"):
        decode_stats(bytes(data))
