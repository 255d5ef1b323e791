import io
import math
import struct
from hashlib import new

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.errors import DigestMismatchError
from orlop.fsimage.output import StreamOutput
from orlop.fsimage.verity import (
    DmVerityOptions,
    DmVerityOutput,
    FsVerityHasher,
    read_dm_verity,
    verify_dm_verity,
)

algorithms = st.sampled_from(["sha256", "sha512"])
block_sizes = st.sampled_from([512, 1024, 2048, 4096])
pieces = st.lists(
    st.tuples(st.sampled_from([1, 3, 100, 511, 512, 1024, 4096, 5000, 20_000]), st.booleans()),
    max_size=30,
)


def parts(data, size):
    return [data[at : at + size].ljust(size, b"\0") for at in range(0, len(data), size)]


def naive_levels(blocks, algorithm, salt, block_size):
    """The levels of a tree, the highest first, and its root hash."""
    digests = [new(algorithm, salt + block).digest() for block in blocks]
    if len(digests) == 1:
        return [], digests[0]
    level = parts(b"".join(digests), block_size)
    higher, root_hash = naive_levels(level, algorithm, salt, block_size)
    return [*higher, level], root_hash


def feed(output, given, fill):
    data = b""
    for number, (size, zeros) in enumerate(given):
        piece = bytes(size) if zeros else bytes([fill + number & 0xFF]) * size
        data += piece
        if zeros:
            output.skip(size)
        else:
            output.write(piece)
    return data


@st.composite
def dm_options(draw):
    return DmVerityOptions(
        uuid=b"u" * 16,
        salt=draw(st.binary(max_size=256)),
        algorithm=draw(algorithms),
        data_block_size=draw(block_sizes),
        hash_block_size=draw(block_sizes),
        superblock=draw(st.booleans()),
    )


@settings(deadline=None)
@given(dm_options(), pieces, st.integers(1, 5000))
def test_dm_verity_hashes_salt_and_block_and_stores_the_top_level_first(options, given, end):
    """The tree is stored level by level, from the root to the leaves."""
    stream = io.BytesIO()
    output = DmVerityOutput(StreamOutput(stream), options)
    data = feed(output, given, 1)
    missing = end + -(len(data) + end) % options.data_block_size
    output.write(b"e" * missing)
    data += b"e" * missing
    verity = output.append_tree()
    levels, root_hash = naive_levels(
        parts(data, options.data_block_size),
        options.algorithm, options.salt, options.hash_block_size,
    )  # fmt: skip
    assert verity.root_hash == root_hash
    image = stream.getvalue()
    hash_size = options.hash_block_size
    offset = math.ceil(len(data) / hash_size) * hash_size
    assert (verity.hash_offset, verity.data_size) == (offset, len(data))
    assert len(image) == offset + verity.tree_size
    start = verity.hash_start_block * hash_size
    if levels:
        assert image[start:] == b"".join(block for level in levels for block in level)
    assert image[: len(data)] == data

    def read(offset, size):
        return image[offset : offset + size]

    verify_dm_verity(verity, read, read)
    if options.superblock:
        assert read_dm_verity(read, root_hash, hash_offset=offset) == verity


@settings(deadline=None)
@given(dm_options(), st.data())
def test_every_change_of_data_or_tree_is_found(options, draw):
    """Any change is seen, and is said to be where it is or above."""
    stream = io.BytesIO()
    output = DmVerityOutput(StreamOutput(stream), options)
    output.write(b"d" * options.data_block_size * draw.draw(st.integers(1, 70)))
    verity = output.append_tree()
    image = bytearray(stream.getvalue())
    tree_start = verity.hash_start_block * options.hash_block_size
    places = [*range(0, verity.data_size, 97), *range(tree_start, len(image), 97)]
    place = draw.draw(st.sampled_from(places))
    image[place] ^= 1 << draw.draw(st.integers(0, 7))

    def read(offset, size):
        return bytes(image[offset : offset + size])

    with pytest.raises(DigestMismatchError) as caught:
        verify_dm_verity(verity, read, read)
    if place < verity.data_size:
        assert f"data block {place // options.data_block_size}:" in str(caught.value)
    else:
        assert "hash block" in str(caught.value)


@settings(deadline=None)
@given(
    algorithms,
    st.sampled_from([1024, 2048, 4096, 65_536]),
    st.binary(max_size=32),
    pieces,
    st.sampled_from([0, 0, 100_000, 1024 * 32 + 1, 1024 * 1024]),
)
def test_fs_verity_digests_are_those_of_a_whole_tree(algorithm, block_size, salt, given, end):
    """The blocks are hashed, with the hashes padded to blocks, until one hash is left."""
    hasher = FsVerityHasher(algorithm=algorithm, block_size=block_size, salt=salt)
    data = feed(hasher, given, 7)
    hasher.digest()
    hasher.write(b"e" * end)
    data += b"e" * end
    padded = salt + bytes(-len(salt) % {"sha256": 64, "sha512": 128}[algorithm])
    blocks = parts(data, block_size)
    root_hash = naive_levels(blocks, algorithm, padded, block_size)[1] if blocks else b""
    descriptor = struct.pack(
        "<BBBBIQ64s32s144s",
        1, {"sha256": 1, "sha512": 2}[algorithm], int(math.log2(block_size)), len(salt), 0,
        len(data), root_hash, salt, b"",
    )  # fmt: skip
    assert hasher.descriptor() == descriptor
    assert hasher.digest() == new(algorithm, descriptor).digest()
