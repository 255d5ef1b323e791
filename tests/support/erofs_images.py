"""Full EROFS images in memory, and trees to make them of."""

from __future__ import annotations

import random
import struct

from hypothesis import strategies as st
from tests.support import random_trees

from orlop.fsimage.erofs import ErofsReader, write_image
from orlop.fsimage.erofs.crc32c import checksum_size, superblock_checksum
from orlop.testing.trees import Bytes, content
from orlop.tree import directory, walk

UUID = bytes(range(16))
BLOCK_BITS = [9, 10, 11, 12]


class Memory:
    """An output of `write_image` that keeps the image."""

    def __init__(self):
        self.image = bytearray()

    def write(self, data, /):
        self.image += data

    def skip(self, size, /):
        self.image += bytes(size)

    def write_at(self, offset, data, /):
        assert offset + len(data) <= len(self.image)
        self.image[offset : offset + len(data)] = data


def make(root, read, **options):
    """The image as bytes, and what is said of it."""
    output = Memory()
    written = write_image(root, output, read=read, uuid=UUID, **options)
    assert written.size == len(output.image)
    return bytes(output.image), written


def reading(image):
    """Reads bytes at an offset."""
    return lambda offset, size: image[offset : offset + size]


def sealed(image):
    """The image with a checksum that is right."""
    image = bytearray(image)
    size = checksum_size(1 << (image[1036] if 9 <= image[1036] <= 16 else 9))
    if len(image) >= 1024 + size:
        struct.pack_into("<I", image, 1028, superblock_checksum(bytes(image[1024 : 1024 + size])))
    return bytes(image)


def without_holes(root):
    """The tree without the file that is nothing but a hole, which is too long to be compared."""
    del root.children[b"hole"]
    return root


def compare_contents(image, root, store):
    """Fail if a file of the image has other bytes than that of the tree."""
    reader = ErofsReader(reading(image))
    for path, node in walk(root):
        inode = reader.lookup(path, follow=False)
        if node.size:
            assert reader.open(inode).read() == content(node, store), path
            assert b"".join(reader.iter_data(inode)) == content(node, store), path


def shown(root, read):
    """All that a tree says of its inodes, and what is in its files, in a form that compares."""
    first = {}
    return {
        path: (
            first.setdefault(id(node), path), node.mode, node.uid, node.gid, node.mtime_ns,
            node.size, node.rdev, node.target, sorted(node.xattrs.items()),
            read(node) if node.size else b"",
        )
        for path, node in walk(root)
    }  # fmt: skip


@st.composite
def trees(draw, longest=40_000):
    """A random tree, and its store: contents repeat, and have sizes around those of blocks."""
    root = draw(random_trees.trees)
    store = Bytes()
    noise = random.Random(draw(st.integers(0, 2**16)))
    contents = []
    for _ in range(draw(st.integers(1, 6))):
        blocks = draw(st.sampled_from([0, 1, 512, 1024, 4096, 8192, 16_384, 32_768]))
        size = min(max(blocks + draw(st.integers(-2, 2)), 1), longest)
        piece = noise.randbytes(draw(st.sampled_from([1, 7, 300, 5000, longest])))
        contents.append((piece * (size // len(piece) + 1))[:size])
    for _, node in walk(root):
        if node.size:
            data = draw(st.sampled_from(contents))
            node.source, node.size = store.source, len(data)
            node.offset = store.add(data)
    many = root.children[b"many small files"] = directory()
    for number in range(draw(st.sampled_from([0, 3, 150]))):
        many.children[b"%d" % number] = store.file(noise.randbytes(noise.randrange(1, 700)))
    for number in range(draw(st.integers(0, 3))):
        gaps = noise.choice([100, 5000, 70_000])
        segments = [(at * (gaps + 3000), noise.randbytes(2000)) for at in range(1, 4)]
        many.children[b"sparse %d" % number] = store.sparse(segments, 5 * (gaps + 3000))
    return root, store
