import io
import struct

import pytest

from orlop.errors import InvalidImageError, UnsupportedError
from orlop.fsimage.erofs import Device, ErofsReader, check_image, write_index
from orlop.fsimage.erofs.crc32c import checksum_size, superblock_checksum
from orlop.testing.trees import Bytes
from orlop.tree import Node, directory

SUPERBLOCK = 1024


class Image:
    """An image whose bytes can be changed, and whose checksum is then made right."""

    def __init__(self, form="flat", block_bits=9):
        store = Bytes(align=1 << block_bits)
        root = directory(mtime_ns=1)
        root.children[b"file"] = store.file(b"content")
        root.children[b"holes"] = store.sparse([(4096, b"s" * 4096)], 12_288)
        root.children[b"link"] = Node(0o120777, target=b"file")
        root.children[b"long"] = Node(0o120777, target=b"t" * 4090, mtime_ns=1)
        root.children[b"pipe"] = Node(0o010644)
        root.children[b"dir"] = large = directory()
        root.children[b"sub"] = directory(0o700)
        for number in range(250):
            large.children[b"name%03d" % number] = Node(0o100644, xattrs={b"user.k": b"v"})
        output = io.BytesIO()
        write_index(
            root, [Device(store.source, store.size)], output,
            uuid=bytes(16), form=form, block_bits=block_bits,
        )  # fmt: skip
        self.store = store
        self.data = bytearray(output.getvalue())
        self.device_sizes = [store.size]

    def __call__(self, offset, size):
        return bytes(self.data[offset : offset + size])

    @property
    def reader(self):
        return ErofsReader(self, [self.store.read_at])

    def inode(self, path):
        return self.reader.lookup(path, follow=False)

    def patch(self, offset, layout, *values):
        struct.pack_into(layout, self.data, offset, *values)
        size = checksum_size(1 << self.data[SUPERBLOCK + 12])
        covered = bytes(self.data[SUPERBLOCK : SUPERBLOCK + size])
        struct.pack_into("<I", self.data, SUPERBLOCK + 4, superblock_checksum(covered))

    def check(self):
        check_image(self, self.device_sizes)

    def refuses(self, text, error=InvalidImageError):
        with pytest.raises(error, match=text):
            self.check()


@pytest.fixture(params=[("flat", 9), ("chunk", 9), ("flat", 12), ("chunk", 12)])
def image(request):
    image = Image(*request.param)
    image.check()
    return image


def entry(image, path, name):
    """Where in the image the entry of a name begins."""
    inode = image.inode(path)
    start = next(image.reader.extents(inode)).offset
    names = sorted([b".", b"..", *(found.name for found in image.reader.list(inode))])
    return start + 12 * names.index(name)


def test_a_wrong_checksum(image):
    image.data[SUPERBLOCK + 48] ^= 1
    image.refuses("checksum")


def test_a_missing_checksum(image):
    image.patch(SUPERBLOCK + 8, "<I", 2)
    image.refuses("no checksum")


def test_a_wrong_magic(image):
    image.patch(SUPERBLOCK, "<I", 0)
    image.refuses("no EROFS image")


@pytest.mark.parametrize("bits", [0, 8, 17, 255])
def test_blocks_of_an_impossible_size(image, bits):
    image.data[SUPERBLOCK + 12] = bits
    image.refuses("blocks of")


def test_unknown_features_are_named(image):
    image.patch(SUPERBLOCK + 80, "<I", 0x8 | 0x80 | 0x200)
    image.refuses("48BIT, bit 9", UnsupportedError)


def test_reserved_bytes_of_the_superblock(image):
    image.patch(SUPERBLOCK + 120, "<I", 1)
    image.refuses("superblock: reserved")


def test_a_wrong_number_of_inodes(image):
    image.patch(SUPERBLOCK + 16, "<Q", 1)
    image.refuses("1 inodes are written, 258 are there")


def test_a_root_that_is_no_directory(image):
    image.patch(SUPERBLOCK + 14, "<H", image.inode(b"pipe").nid)
    image.refuses("root is no directory")


def test_an_image_that_goes_on(image):
    image.data += bytes(1)
    image.refuses("does not end after")


def test_an_image_that_ends_too_early(image):
    del image.data[-1:]
    image.refuses("end")


def test_a_byte_before_the_superblock(image):
    image.data[5] = 1
    image.refuses("belong to nothing")


def test_a_device_that_is_too_short(image):
    image.device_sizes = [image.store.size - 1]
    image.refuses("are promised")


def test_a_device_that_overlaps_the_image(image):
    image.patch(1152 + 68, "<I", 1)
    image.refuses("overlaps the one before")


def test_another_number_of_devices(image):
    image.device_sizes = []
    image.refuses("0 devices for a table of 1", ValueError)


def test_a_reserved_byte_of_a_device_slot(image):
    image.patch(1152 + 100, "<I", 1)
    image.refuses("not zero")


def test_content_past_the_end_of_its_device(image):
    inode = image.inode(b"holes")
    image.patch(inode.end + -inode.end % 8 + 8, "<HHI", 0, 1, 1000)
    image.refuses("of device 1, which has")


def test_content_in_no_device(image):
    inode = image.inode(b"holes")
    image.patch(inode.end + -inode.end % 8 + 8, "<HHI", 0, 2, 0)
    image.refuses("no device 2")


def test_a_hole_with_a_device(image):
    inode = image.inode(b"holes")
    image.patch(inode.end + -inode.end % 8, "<HHI", 0, 1, 0xFFFFFFFF)
    image.refuses("mean nothing")


def test_a_chunk_format_that_is_unknown(image):
    image.patch(image.inode(b"holes").start + 16, "<I", 0x60)
    image.refuses("chunk format", UnsupportedError)


def test_an_inode_format_that_is_unknown(image):
    image.patch(image.inode(b"pipe").start, "<H", 0x10)
    image.refuses("unknown format", UnsupportedError)


@pytest.mark.parametrize("layout", [1, 3])
@pytest.mark.parametrize("name", [b"link", b"dir"])
def test_compression_of_what_is_no_file_is_refused_by_name(image, layout, name):
    inode = image.inode(name)
    image.patch(inode.start, "<H", layout << 1 | (inode.xattr_start - inode.start == 64))
    image.refuses("compressed, and no regular file", UnsupportedError)


def test_wrong_link_counts(image):
    image.patch(image.inode(b"file").start + 6, "<H", 2)
    image.refuses("2 links are written, 1 are there")


def test_a_wrong_link_count_of_a_directory(image):
    image.patch(image.inode(b"sub").start + 6, "<H", 3)
    image.refuses("3 links are written, 2 are there")


def test_a_type_that_disagrees(image):
    image.patch(entry(image, b"", b"pipe") + 10, "<B", 1)
    image.refuses("'pipe' has the type 1")


def test_reserved_bytes_of_an_entry(image):
    image.patch(entry(image, b"", b"pipe") + 11, "<B", 1)
    image.refuses("reserved")


@pytest.mark.parametrize("name", [b".", b".."])
def test_special_entries_that_lead_elsewhere(image, name):
    image.patch(entry(image, b"sub", name), "<Q", image.inode(b"dir").nid)
    image.refuses("leads to")


def test_a_missing_special_entry(image):
    inode = image.inode(b"sub")
    start = entry(image, b"sub", b".")
    image.patch(start + 24, "<3s", b".-z")
    assert inode.size == 27
    image.refuses("leads to|no inode|out of order|is there|there is no")


def test_names_out_of_order(image):
    start = next(image.reader.extents(image.inode(b"dir"))).offset
    where = image.data.index(b"name000", start)
    image.patch(where, "7s", b"name001")
    image.refuses("out of order")


def test_a_name_with_a_slash(image):
    where = image.data.index(b"name000")
    image.patch(where, "7s", b"na/e000")
    image.refuses("is no name")


def test_padding_in_a_directory(image):
    inode = image.inode(b"dir")
    last = next(image.reader.extents(inode)).offset + image.reader.superblock.block_size - 1
    assert image.data[last] == 0
    image.patch(last, "B", 1)
    image.refuses("padding")


def test_a_cycle_of_directories(image):
    position = entry(image, b"", b"sub")
    image.patch(position, "<Q", image.reader.root.nid)
    image.refuses("two names")
    with pytest.raises(InvalidImageError, match="two names"):
        image.reader.tree([image.store.source])


def test_an_inode_that_nothing_leads_to(image):
    position = entry(image, b"", b"pipe")
    image.patch(position, "<Q", image.inode(b"file").nid)
    image.patch(position + 10, "<B", 1)
    image.refuses("links are written|inodes are written")


def test_an_inode_outside_the_image(image):
    image.patch(entry(image, b"", b"pipe"), "<Q", 1 << 40)
    image.refuses("not in the image")


def test_overlapping_inodes(image):
    position = entry(image, b"", b"pipe")
    image.patch(position, "<Q", image.inode(b"pipe").nid - 1)
    with pytest.raises((InvalidImageError, UnsupportedError)):
        image.check()


def test_overlapping_directories(image):
    inode = image.inode(b"long")
    image.patch(inode.start + 16, "<I", image.reader.superblock.root_nid * 32 >> 9)
    with pytest.raises(InvalidImageError):
        image.check()


def test_a_serial_number_taken_twice(image):
    image.patch(image.inode(b"pipe").start + 20, "<I", 1)
    image.refuses("serial number")


def test_reserved_bytes_of_an_inode(image):
    image.patch(image.inode(b"pipe").start + 28, "<I", 1)
    image.refuses("reserved")


def test_a_special_file_with_data(image):
    image.patch(image.inode(b"pipe").start + 8, "<I", 1)
    image.refuses("special file of 1 bytes")


def test_an_address_without_data(image):
    image.patch(image.inode(b"pipe").start + 16, "<I", 1)
    image.refuses("has an address")


def test_an_empty_target(image):
    image.patch(image.inode(b"link").start + 8, "<I", 0)
    image.refuses("a target of 0 bytes")


def test_a_tail_that_crosses_a_block(image):
    image.patch(image.inode(b"link").start + 8, "<I", 500)
    with pytest.raises(InvalidImageError):
        image.check()


def test_a_target_with_a_nul(image):
    image.patch(image.data.index(b"t" * 4090) + 5, "B", 0)
    image.refuses("NUL")


def test_padding_after_data(image):
    where = image.data.index(b"t" * 4090) + 4090
    assert image.data[where] == 0
    image.patch(where, "B", 1)
    image.refuses("not zero")


def test_attributes_with_a_filter(image):
    image.patch(image.inode(b"dir/name000").xattr_start, "<I", 1)
    image.refuses("filter")


def test_attributes_that_leave_their_area(image):
    image.patch(image.inode(b"dir/name000").xattr_start + 14, "<H", 9999)
    image.refuses("crosses the end")


def test_attributes_with_an_unknown_prefix(image):
    image.patch(image.inode(b"dir/name000").xattr_start + 13, "<B", 0x81)
    image.refuses("unknown prefix", UnsupportedError)


def test_attributes_whose_padding_is_not_zero(image):
    image.patch(image.inode(b"dir/name000").xattr_start + 18, "<B", 7)
    image.refuses("padding")


def test_shared_attributes_outside_the_image(image):
    start = image.inode(b"dir/name000").xattr_start
    image.patch(start + 4, "<B", 1)
    image.patch(start + 12, "<I", 0xFFFFFFF0)
    image.refuses("not in the image")


def test_nanoseconds_of_more_than_a_second(image):
    image.patch(image.reader.root.start + 40, "<I", 1_000_000_000)
    image.refuses("1000000000 nanoseconds")


def test_a_mode_without_a_type(image):
    image.patch(image.inode(b"pipe").start + 4, "<H", 0o644)
    image.refuses("mode 0o644")


def test_a_link_with_a_chunk_table(image):
    image.patch(image.inode(b"link").start, "<H", 4 << 1)
    image.refuses("only regular files")
