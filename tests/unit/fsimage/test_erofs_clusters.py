import random
import struct
import sys

import pytest
from tests.support.erofs_images import make, reading

from orlop.errors import InvalidImageError, LimitExceededError, UnsupportedError
from orlop.fsimage.erofs import ErofsReader, check_image, make_codec
from orlop.fsimage.erofs import clusters as clusters_module
from orlop.fsimage.erofs.addresses import Extent, Packed
from orlop.fsimage.erofs.clusters import read_cluster_index
from orlop.fsimage.erofs.codecs import Lz4
from orlop.fsimage.erofs.compressed import ENTRY
from orlop.fsimage.erofs.crc32c import checksum_size, superblock_checksum
from orlop.fsimage.erofs.unpack import LZ4, ZSTD, read_packed
from orlop.testing.trees import Bytes
from orlop.tree import directory

TEXT = b"a line of text, and one more; " * 3000


class Image:
    """An image of one compressed file, whose bytes can be changed."""

    def __init__(self, name="lz4", data=TEXT):
        store = Bytes()
        root = directory()
        root.children[b"file"] = store.file(data)
        codec = make_codec(name, extent=16_384)
        self.image = bytearray(make(root, store.read, codec=codec)[0])
        self.inode = self.reader.lookup(b"file")
        self.index = read_cluster_index(
            self.inode, self.reader.superblock, reading(bytes(self.image))
        )

    @property
    def reader(self):
        return ErofsReader(reading(bytes(self.image)))

    def read(self):
        return b"".join(self.reader.iter_data(self.reader.lookup(b"file")))

    def check(self):
        check_image(reading(bytes(self.image)))

    def entry(self, number, advise=None, offset=None, value=None):
        at = self.index.table + 8 * number
        fields = zip((advise, offset, value), ENTRY.unpack_from(self.image, at), strict=True)
        new = [old if given is None else given for given, old in fields]
        ENTRY.pack_into(self.image, at, *new)
        return new

    def patch(self, offset, form, value):
        struct.pack_into(form, self.image, offset, value)
        self.seal()

    def seal(self):
        covered = bytes(self.image[1024 : 1024 + checksum_size(4096)])
        struct.pack_into("<I", self.image, 1028, superblock_checksum(covered))


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_a_compressed_file_is_read_at_every_place(name):
    image = Image(name)
    assert image.read() == TEXT
    image.check()
    with image.reader.open(image.inode) as stream:
        for position in (0, 5, 16_383, 16_384, 50_000, len(TEXT) - 7, len(TEXT), 10**6):
            stream.seek(position)
            assert stream.read(20_000) == TEXT[position : position + 20_000]
    extents = list(image.reader.extents(image.inode))
    assert [extent.start for extent in extents] == list(range(0, len(TEXT), 16_384))
    assert {extent.packed.algorithm for extent in extents} == {LZ4 if name == "lz4" else ZSTD}


def test_a_tree_with_compressed_files_is_adopted():
    image = Image()
    with pytest.raises(UnsupportedError, match="not one range of a device"):
        image.reader.tree()
    root = image.reader.tree(adopt=lambda inode: ("somewhere", inode.nid))
    assert root.children[b"file"].source == "somewhere"


@pytest.mark.parametrize(
    ("number", "fields", "text"),
    [
        (0, {"advise": 2}, "not begun"),
        (0, {"offset": 1}, "nothing begins"),
        (0, {"offset": 4096}, "outside its block"),
        (1, {"value": 1}, "no number of blocks"),
        (1, {"value": 0x800}, "no number of blocks"),
        (1, {"value": 0x805}, "5 blocks are for 16384 bytes"),
        (2, {"value": 0}, "0 blocks back"),
        (2, {"value": 3}, "3 blocks back, not 2"),
        (2, {"value": 0x801}, "2049 blocks back, not 2"),
        (0, {"value": 10**6}, "1000000"),
        (0, {"advise": 0}, "2049 blocks back, not 1"),
        (5, {"advise": 1, "value": 0}, "more is stored than a block takes"),
        (4, {"advise": 3}, "not announced"),
        (3, {"advise": 1}, "1 blocks from block 65539"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(number, fields, text):
    image = Image()
    image.entry(number, **fields)
    if number == 4:
        image.patch(image.index.header + 4, "<H", 0x6)
        image.patch(image.index.header + 6, "<B", 0x10)
    if number == 5:
        image.entry(4, advise=0)
        image.entry(5, advise=0)
        image.entry(6, value=1)
        image.entry(7, value=1)
    for action in (image.read, image.check):
        with pytest.raises(InvalidImageError, match=text):
            action()


@pytest.mark.parametrize(
    ("at", "form", "value", "text"),
    [
        (4, "<H", 0x8 | 2, "unknown way"),
        (4, "<H", 0x20 | 2, "unknown way"),
        (7, "<B", 1, "unknown way"),
        (7, "<B", 0x80, "unknown way"),
    ],
)
def test_forms_of_the_index_that_are_not_known_are_named(at, form, value, text):
    image = Image()
    image.patch(image.index.header + at, form, value)
    with pytest.raises(UnsupportedError, match=text):
        image.read()


def test_an_algorithm_that_is_not_known_is_named():
    image = Image()
    image.patch(image.index.header + 6, "<B", 1)
    with pytest.raises(InvalidImageError, match="not announced"):
        image.read()
    image.patch(1024 + 84, "<H", 3)
    with pytest.raises(UnsupportedError, match="algorithm 1"):
        image.read()
    with pytest.raises(UnsupportedError, match="algorithm 1"):
        image.check()


@pytest.mark.parametrize("offset", [0, 8, 12])
def test_reserved_bytes_of_the_header_are_checked(offset):
    image = Image()
    image.patch(image.index.header + offset, "<B", 1)
    assert image.read() == TEXT
    with pytest.raises(InvalidImageError, match="not zero"):
        image.check()


def test_the_number_of_blocks_is_checked():
    image = Image()
    image.patch(image.inode.start + 16, "<I", 9)
    with pytest.raises(InvalidImageError, match="9 blocks are written, not 6"):
        image.check()


def test_what_is_said_of_an_algorithm_is_checked():
    image = Image()
    image.patch(1152, "<H", 13)
    with pytest.raises(InvalidImageError, match="algorithm 0 has 13 bytes"):
        image.check()


def test_an_index_that_leaves_the_image_is_refused():
    image = Image()
    image.patch(image.inode.start + 8, "<I", 0xFFFFFFFF)
    with pytest.raises(InvalidImageError, match="leaves the image"):
        image.read()


@pytest.mark.parametrize("name", ["MAX_UNPACKED", "MAX_PACKED"])
def test_long_extents_are_refused(monkeypatch, name):
    image = Image()
    monkeypatch.setattr(clusters_module, name, 4095)
    with pytest.raises(LimitExceededError, match=f"{name} = 4095"):
        image.read()


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_content_that_cannot_be_undone_is_refused(name):
    image = Image(name)
    extent = next(image.reader.extents(image.inode))
    image.image[extent.offset : extent.offset + 4096] = bytes(4096)
    with pytest.raises(InvalidImageError, match=r"^offset \d+: what should be 16384 bytes"):
        image.read()
    with pytest.raises(InvalidImageError, match=r"^offset \d+: what should be 16384 bytes"):
        image.check()


@pytest.mark.parametrize("algorithm", [LZ4, ZSTD])
@pytest.mark.parametrize("change", [-1, 1])
def test_content_has_the_length_of_its_extent(algorithm, change):
    codec = make_codec("lz4" if algorithm == LZ4 else "zstd")
    data = codec.compress(TEXT).rjust(4096, b"\0")
    packed = Packed(4096, algorithm, padding=4095)
    assert read_packed(reading(data), Extent(0, len(TEXT), 0, 0, packed)) == TEXT
    with pytest.raises(InvalidImageError, match="broken"):
        read_packed(reading(data), Extent(0, len(TEXT) + change, 0, 0, packed))


@pytest.mark.parametrize("algorithm", [LZ4, ZSTD])
def test_blocks_that_are_not_needed_are_refused(algorithm):
    """Linux wants the first block to have something in it that is not zero."""
    codec = make_codec("lz4" if algorithm == LZ4 else "zstd")
    data = codec.compress(TEXT).rjust(8192, b"\0")
    packed = Packed(8192, algorithm, padding=4095)
    with pytest.raises(InvalidImageError, match="more blocks than it needs"):
        read_packed(reading(data), Extent(0, len(TEXT), 0, 0, packed))


def test_a_bomb_is_not_let_off():
    data = make_codec("zstd").compress(bytes(1 << 20)).rjust(1 << 16, b"\0")
    with pytest.raises(InvalidImageError, match="frame does not end"):
        read_packed(reading(data), Extent(0, 8192, 0, 0, Packed(1 << 16, ZSTD, padding=1 << 16)))


def test_what_lies_behind_a_frame_is_refused():
    data = make_codec("zstd").compress(b"z" * 8192) + b"more"
    packed = Packed(len(data), ZSTD, padding=4095)
    with pytest.raises(InvalidImageError, match="frame does not end"):
        read_packed(reading(data), Extent(0, 8192, 0, 0, packed))


def test_blocks_of_lz4_that_are_padded_at_their_end():
    """The start of the content is found without knowing where the block ends."""
    source = random.Random(2)
    for _ in range(200):
        words = [source.randbytes(source.randrange(1, 9)) for _ in range(5)]
        content = b"".join(source.choice(words) for _ in range(source.randrange(1, 600)))
        data = Lz4(extent=8192, level=0).compress(content).ljust(8192, b"\0")
        packed = Packed(len(data), LZ4, padding=0)
        for size in {len(content), source.randrange(1, len(content) + 1)}:
            extent = Extent(0, size, 0, 0, packed)
            assert read_packed(reading(data), extent) == content[:size]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xf0" + b"\xff" * 4095, "inside a sequence"),
        (b"\0" * 4096, "broken"),
        (b"\x1fa\x01\0" + b"\xff" * 300 + b"\0\x50abcde" + b"\0" * 3000, "goes on for 67525"),
    ],
)
def test_blocks_of_lz4_without_an_end_are_refused(data, text):
    with pytest.raises(InvalidImageError, match=text):
        read_packed(reading(data), Extent(0, 9000, 0, 0, Packed(len(data), LZ4, padding=0)))


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    image = Image()
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    for action in (image.read, image.check):
        with pytest.raises(UnsupportedError, match="LZ4") as caught:
            action()
        assert "orlop[lz4]" in caught.value.hint
    with pytest.raises(UnsupportedError, match="LZ4"):
        make_codec("lz4")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lz4", {"level": -1}), ("lz4", {"level": 13}), ("zstd", {"level": 0}),
        ("zstd", {"level": 20}), ("lz4", {"extent": 4096}), ("lz4", {"extent": 10_000}),
        ("zstd", {"extent": 1 << 21}),
    ],
)  # fmt: skip
def test_levels_and_extents_that_are_none_are_refused(name, options):
    with pytest.raises(ValueError, match=name if "level" in options else "extent"):
        make_codec(name, **options)
