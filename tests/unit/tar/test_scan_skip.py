import io
import tarfile

import pytest

from orlop.errors import InvalidLayerError
from orlop.tar import TarScanner


def archive(sizes, form=tarfile.PAX_FORMAT):
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as tar:
        for number, size in enumerate(sizes):
            info = tarfile.TarInfo(f"{'long/' * 30}{number}")
            info.size = size
            tar.addfile(info, io.BytesIO(b"\xff" * size))
    return output.getvalue()


def places(entries):
    return [(entry.path, entry.node.offset, entry.node.size) for entry in entries]


def scan_with_skips(stream, chunk_size):
    scanner = TarScanner(None)
    entries = []
    fed = 0
    while scanner.size < len(stream):
        chunk = stream[scanner.size : scanner.size + chunk_size]
        fed += len(chunk)
        entries += scanner.feed(chunk)
        scanner.skip(len(stream) - scanner.size)
    return entries + scanner.close(), fed


@pytest.mark.parametrize("chunk_size", [1, 511, 512, 513, 4096, 1 << 20])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_scan_with_skips_finds_what_a_scan_of_all_bytes_finds(chunk_size, form):
    stream = archive([0, 1, 511, 512, 513, 100_000, 0, 3], form)
    whole = TarScanner(None)
    expected = whole.feed(stream) + whole.close()
    entries, _ = scan_with_skips(stream, chunk_size)
    assert places(entries) == places(expected)
    assert len(entries) == 8


def test_bodies_are_not_fed():
    stream = archive([10_000_000])
    _, fed = scan_with_skips(stream, 4096)
    assert fed < 20_000


def test_what_follows_the_end_may_be_skipped():
    scanner = TarScanner(None)
    scanner.feed(bytes(1024))
    assert scanner.skip(5000) == 5000
    assert scanner.size == 6024
    assert scanner.close() == []


def test_nothing_is_skipped_where_a_header_must_come():
    assert TarScanner(None).skip(100) == 0


def test_a_body_that_the_stream_does_not_have_cannot_be_skipped():
    stream = archive([10_000], tarfile.GNU_FORMAT)[:9000]
    with pytest.raises(InvalidLayerError, match="cut short"):
        scan_with_skips(stream, 512)
