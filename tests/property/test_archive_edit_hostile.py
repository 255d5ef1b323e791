"""Archives that were damaged are edited whole or not at all."""

import io
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orlop.errors import OrlopError
from orlop.layout import ArchiveDriver, ArchiveReader, init, read_index, update_index, write_blob
from orlop.layout.index import with_descriptor
from orlop.testing.layout import HELLO, manifest


def make_archive():
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "image.tar")
        with ArchiveDriver(path) as driver:
            init(driver)
            write_blob(driver, HELLO)
        return path.read_bytes()


ARCHIVE = make_archive()

changes = st.lists(
    st.tuples(st.integers(0, 8 * 512), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4
)


@given(changes, st.none() | st.integers(0, len(ARCHIVE)))
def test_a_damaged_archive_is_edited_whole_or_left_alone(bent, cut):
    """What an editor cannot read it refuses; what it writes can be read by others."""
    data = bytearray(ARCHIVE)
    for offset, piece in bent:
        data[offset : offset + len(piece)] = piece
    data = bytes(data[:cut])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "image.tar")
        path.write_bytes(data)
        try:
            with ArchiveDriver(path) as driver:
                update_index(driver, lambda index: with_descriptor(index, manifest(1, "new")))
        except OrlopError:
            assert path.read_bytes() == data
        else:
            with ArchiveReader(path) as reader:
                assert manifest(1, "new") in read_index(reader).manifests
            with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
                assert "index.json" in archive.getnames()
        assert [found.name for found in Path(directory).iterdir()] == ["image.tar"]
