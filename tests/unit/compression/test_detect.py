import bz2
import lzma

import pytest

from orlop.compression import Compression, Decompressor, detect
from orlop.errors import UnsupportedError

TAR_NAMES = [b"BZhistory", b"LZIPPER", b"]", b"PK", b"7z", b"(", b"\x1f", b"etc/"]


@pytest.mark.parametrize(
    ("head", "compression"),
    [
        (b"", Compression.NONE),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", Compression.GZIP),
        (b"\x1f\x8b\x08", Compression.GZIP),
        (b"\x28\xb5\x2f\xfd\0\0\0\0\0\0", Compression.ZSTD),
        (b"\x50\x2a\x4d\x18\0\0\0\0\0\0", Compression.ZSTD),
        (b"\x5f\x2a\x4d\x18\0\0\0\0\0\0", Compression.ZSTD),
        (b"\x60\x2a\x4d\x18\0\0\0\0\0\0", Compression.NONE),
        (b"\x1f\x8b\x07\0\0\0\0\0\0\0", Compression.NONE),
        (bytes(10), Compression.NONE),
    ],
)
def test_compressions_by_their_magic(head, compression):
    assert detect(head) is compression


@pytest.mark.parametrize("name", TAR_NAMES)
def test_an_archive_may_begin_with_any_name(name):
    assert detect(name.ljust(100, b"\0")) is Compression.NONE


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        (bz2.compress(b"x"), "bzip2"),
        (bz2.compress(b""), "bzip2"),
        (lzma.compress(b"x" * 100), "xz"),
        (lzma.compress(b"x" * 100, format=lzma.FORMAT_ALONE), "lzma"),
        (b"PK\x03\x04" + bytes(30), "zip"),
        (b"PK\x05\x06" + bytes(30), "zip"),
        (b"\x04\x22\x4d\x18" + bytes(30), "lz4"),
        (b"LZIP\x01" + bytes(30), "lzip"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(30), "7z"),
        (b"\x1f\x9d\x90" + bytes(30), "compress"),
    ],
)
def test_other_compressions_are_refused_by_name(stream, name):
    with pytest.raises(UnsupportedError, match=f"compressed with {name}$") as caught:
        detect(stream)
    assert "gzip" in caught.value.hint
    with pytest.raises(UnsupportedError):
        list(Decompressor().feed(stream))
