import random

import pytest
from tests.support.erofs_images import compare_contents, make, reading, sealed

from orlop.errors import OrlopError
from orlop.fsimage.erofs import ErofsReader, check_image, make_codec
from orlop.fsimage.erofs.format import Layout
from orlop.testing.trees import Bytes
from orlop.tree import directory, walk

READ_LIMIT = 1 << 22


def small(name, block_bits):
    noise = random.Random(5).randbytes
    store = Bytes()
    root = directory()
    root.children[b"text"] = store.file(b"many words of text, " * 9000)
    root.children[b"mixed"] = store.file((noise(9000) + bytes(30_000)) * 3)
    root.children[b"noise"] = store.file(noise(20_000))
    root.children[b"holes"] = store.sparse([(100_000, b"x" * 5000)], 300_000)
    root.children[b"little"] = store.file(b"short")
    image, _ = make(root, store.read, codec=make_codec(name, extent=16_384), block_bits=block_bits)
    compare_contents(image, root, store)
    return image, root, store


def use(image, root):
    reader = ErofsReader(reading(image))
    reader.tree(adopt=lambda inode: (None, 0), max_entries=1000)
    for path, _ in walk(root):
        inode = reader.lookup(path, follow=False)
        if inode.is_dir:
            list(reader.list(inode))
            continue
        read = 0
        for piece in reader.iter_data(inode):
            read += len(piece)
            if read > READ_LIMIT:
                break
        with reader.open(inode) as stream:
            stream.read(READ_LIMIT)


def check(image, _):
    check_image(reading(image))


def places(image):
    """Where what compressed files are read by lies: inodes with their indexes, and extents."""
    reader = ErofsReader(reading(image))
    found = [range(1024, 1172)]
    for entry in reader.list(reader.root):
        inode = reader.inode(entry.nid)
        found.append(range(inode.start, inode.end))
        if inode.layout == Layout.COMPRESSED_FULL:
            entries = -(-inode.size >> reader.superblock.block_bits)
            found += [range(inode.end, inode.end + 24 + 8 * entries)] * 3
            for extent in reader.extents(inode):
                if extent.packed:
                    found.append(range(extent.offset, extent.offset + extent.packed.size))
    return found


def mutate(image, where, source):
    image = bytearray(image)
    for _ in range(source.choice([1, 1, 2, 5])):
        place = source.choice(where)
        offset = source.choice(place)
        kind = source.randrange(4)
        if kind == 0:
            image[offset] ^= 1 << source.randrange(8)
        elif kind == 1:
            image[offset] = source.choice([0, 1, 2, 3, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            width = source.choice([2, 4, 8])
            offset -= offset % width
            image[offset : offset + width] = source.choice([b"\0", b"\xff"]) * width
        else:
            other = source.choice(place) & ~7
            image[offset & ~7 : (offset & ~7) + 8] = image[other : other + 8]
    return sealed(image)


@pytest.mark.parametrize("block_bits", [9, 12])
@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_a_mutated_image_is_read_or_refused(name, block_bits):
    image, root, _ = small(name, block_bits)
    use(image, root)
    check_image(reading(image))
    source = random.Random(f"{name}{block_bits}")
    where = places(image)
    refused = 0
    for _ in range(400):
        mutant = mutate(image, where, source)
        for action in (use, check):
            try:
                action(mutant, root)
            except OrlopError:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_damage_to_compressed_content_is_found_or_seen(name):
    """Nothing but other content, or an error, comes of a bit that flips in an extent."""
    image, root, _ = small(name, 12)
    reader = ErofsReader(reading(image))
    extents = [extent for extent in reader.extents(reader.lookup(b"text")) if extent.packed]
    source = random.Random(name)
    for _ in range(300):
        extent = source.choice(extents)
        mutant = bytearray(image)
        mutant[extent.offset + source.randrange(extent.packed.size)] ^= 1 << source.randrange(8)
        try:
            data = b"".join(ErofsReader(reading(bytes(mutant))).iter_data(reader.lookup(b"text")))
        except OrlopError:
            continue
        assert len(data) == root.children[b"text"].size
