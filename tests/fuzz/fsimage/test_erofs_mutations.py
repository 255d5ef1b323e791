import io
import random
import struct

import pytest

from orlop.errors import OrlopError
from orlop.fsimage.erofs import Device, ErofsReader, check_image, write_index
from orlop.fsimage.erofs.crc32c import checksum_size, superblock_checksum
from orlop.testing.trees import Bytes, everything

READ_LIMIT = 1 << 20


def make(form, block_bits):
    store = Bytes(align=4096)
    root = everything(store)
    for name in [name for name in root.children[b"large"].children if len(name) > 7]:
        del root.children[b"large"].children[name]
    output = io.BytesIO()
    write_index(
        root, [Device(store.source, store.size)], output,
        uuid=bytes(16), form=form, block_bits=block_bits, read=store.read,
    )  # fmt: skip
    return output.getvalue(), store


def sealed(image):
    image = bytearray(image)
    size = checksum_size(1 << (image[1036] if 9 <= image[1036] <= 16 else 9))
    if len(image) >= 1024 + size:
        struct.pack_into("<I", image, 1028, superblock_checksum(bytes(image[1024 : 1024 + size])))
    return bytes(image)


def use(image, store):
    def read_at(offset, size):
        return image[offset : offset + size]

    reader = ErofsReader(read_at, [store.read_at])
    root = reader.tree([store.source], adopt=lambda inode: (store.source, 0), max_entries=10_000)
    for name in list(root.children)[:40]:
        inode = reader.lookup(name, follow=False)
        reader.stat(inode)
        if inode.is_dir:
            list(reader.list(inode))
        read = 0
        for piece in reader.iter_data(inode):
            read += len(piece)
            if read > READ_LIMIT:
                break


def check(image, store):
    check_image(lambda offset, size: image[offset : offset + size], [store.size])


def mutate(image, random):
    image = bytearray(image)
    for _ in range(random.choice([1, 1, 1, 2, 8])):
        kind = random.randrange(5)
        offset = random.randrange(1024, len(image))
        if kind == 0:
            image[offset] ^= 1 << random.randrange(8)
        elif kind == 1:
            image[offset] = random.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            width = random.choice([2, 4, 8])
            offset -= offset % width
            image[offset : offset + width] = random.choice([b"\0", b"\xff"]) * width
        elif kind == 3:
            source = random.randrange(1024, len(image)) & ~31
            piece = image[source : source + 32]
            image[offset & ~31 : (offset & ~31) + len(piece)] = piece
        else:
            del image[random.randrange(1024, len(image)) :]
            image += bytes(random.choice([0, 0, 1024]))
        if len(image) <= 1200:
            break
    return sealed(image)


@pytest.mark.parametrize("block_bits", [9, 12])
@pytest.mark.parametrize("form", ["flat", "chunk"])
def test_a_mutated_image_is_read_or_refused(form, block_bits):
    image, store = make(form, block_bits)
    use(image, store)
    check(image, store)
    source = random.Random(f"{form}{block_bits}")
    refused = 0
    for _ in range(300):
        mutant = mutate(image, source)
        for action in (use, check):
            try:
                action(mutant, store)
            except OrlopError:
                refused += 1
    assert refused


def test_every_truncation_is_refused_by_the_check():
    image, store = make("flat", 9)
    for size in range(1152, len(image), 509):
        with pytest.raises(OrlopError):
            check(sealed(image[:size]), store)


def test_noise_is_refused():
    source = random.Random(0)
    for size in (0, 1, 1023, 1024, 1152, 5000):
        noise = source.randbytes(size)
        with pytest.raises(OrlopError):
            use(noise, Bytes())
