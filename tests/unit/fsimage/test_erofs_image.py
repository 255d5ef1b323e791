import hashlib
import os
import random
import threading

import pytest
from tests.support.erofs_images import (
    BLOCK_BITS,
    UUID,
    Memory,
    compare_contents,
    make,
    reading,
    without_holes,
)

from orlop.digest import Digest
from orlop.errors import (
    InvalidImageError,
    InvalidLayerError,
    LimitExceededError,
    UnsupportedError,
)
from orlop.fsimage.erofs import ErofsReader, check_image, make_codec, write_image
from orlop.fsimage.erofs import contents as contents_module
from orlop.fsimage.erofs import image_plan as plan_module
from orlop.fsimage.erofs.compressed import Extents, iter_compressed
from orlop.fsimage.erofs.packing import Packer
from orlop.testing.trees import Bytes, content, describe, everything
from orlop.tree import Node, directory, walk

SOURCE = Digest.of(b"source")
NOISE = random.Random(1).randbytes(1 << 20)


def one(node, name=b"name"):
    root = directory()
    root.children[name] = node
    return root


def rereads(image, root, store):
    """The tree that an image shows, with content where the store has it."""
    places = {}
    reader = ErofsReader(reading(image))
    for path, node in walk(root):
        if node.size:
            places[reader.lookup(path, follow=False).nid] = node
    again = reader.tree(adopt=lambda inode: (store.source, places[inode.nid].offset))
    for path, node in walk(root):
        if node.segments is not None:
            found = again
            for name in path.split(b"/"):
                found = found.children[name]
            found.segments = node.segments
    return again


@pytest.mark.parametrize("block_bits", BLOCK_BITS)
@pytest.mark.parametrize("share", [True, False])
def test_an_image_of_everything_is_sound_and_shows_it(block_bits, share):
    store = Bytes()
    root = everything(store)
    image, written = make(root, store.read, block_bits=block_bits, share=share)
    check_image(reading(image))
    assert written.block_size == 1 << block_bits
    assert describe(rereads(image, root, store)) == describe(root)
    compare_contents(image, without_holes(root), store)


@pytest.mark.parametrize("block_bits", BLOCK_BITS)
def test_an_empty_tree_is_an_image(block_bits):
    image, written = make(directory(0o700, 5, 6, 7), None, block_bits=block_bits)
    check_image(reading(image))
    assert written.inodes == 1
    root = ErofsReader(reading(image)).tree()
    assert (root.mode, root.uid, root.gid, root.mtime_ns, root.children) == (0o40700, 5, 6, 7, {})


@pytest.mark.parametrize("name", ["lz4", "zstd", None])
def test_the_same_tree_gives_the_same_bytes(name):
    store = Bytes()
    root = everything(store)
    root.children[b"text"] = store.file(b"some text, many times " * 20_000)
    codec = make_codec(name) if name else None
    first, _ = make(root, store.read, codec=codec)
    items = sorted(root.children.items(), reverse=True)
    root.children.clear()
    root.children.update(items)
    assert make(root, store.read, codec=codec)[0] == first


def test_the_digest_of_a_tree_with_everything_is_pinned():
    store = Bytes()
    image, _ = make(everything(store), store.read)
    assert hashlib.sha256(image).hexdigest() == PINNED


PINNED = "abfeeb79ef28cd44abe167fd15d1cad8d8a3228c7df5732c47f61f32ea25d725"


@pytest.mark.parametrize(
    ("size", "spared"),
    [(1, 0), (100, 0), (4096, 4096), (4097, 4096), (8192 + 4090, 8192 + 4096), (12_288, 12_288)],
)
def test_equal_contents_lie_in_the_image_once(size, spared):
    """A tail that lies beside its inode is there each time."""
    store = Bytes()
    root = directory()
    data = NOISE[:size]
    for name in (b"a", b"b", b"c"):
        root.children[name] = store.file(data)
    root.children[b"other"] = store.file(data[:-1] + bytes([data[-1] ^ 1]))
    root.children[b"link"] = root.children[b"b"]
    image, written = make(root, store.read)
    apart, told = make(root, store.read, share=False)
    check_image(reading(image))
    assert -(-written.shared // 4096) * 4096 == 2 * spared
    assert told.shared == 0
    assert len(apart) - len(image) == 2 * spared
    compare_contents(image, root, store)
    assert ErofsReader(reading(image)).lookup(b"b").nlink == 2


def test_equal_contents_with_tails_in_other_places_are_apart():
    """Attributes that leave no room beside the inode put the tail into a block of its own."""
    store = Bytes()
    root = directory()
    for name, value in ((b"a", 0), (b"b", 4000), (b"c", 1), (b"d", 4001)):
        root.children[name] = store.file(NOISE[:5000])
        root.children[name].xattrs = {b"user.x": bytes(value)}
    image, written = make(root, store.read)
    check_image(reading(image))
    compare_contents(image, root, store)
    assert written.shared == 4096 + 5000


@pytest.mark.parametrize("block_bits", BLOCK_BITS)
def test_holes_are_filled_where_they_are_small_and_told_where_not(block_bits):
    store = Bytes()
    root = directory()
    at = contents_module.FILLED_HOLES
    root.children[b"filled"] = store.sparse([(at // 2, b"x"), (at + 1, b"y" * 7)], at + 8)
    root.children[b"told"] = store.sparse([(at // 2, b"x"), (at + 2, b"y" * 7)], at + 9)
    root.children[b"large"] = store.sparse([(1 << 43, b"x" * 5000)], (1 << 43) + 5000)
    image, written = make(root, store.read, block_bits=block_bits)
    check_image(reading(image))
    assert written.kernel == (6, 4) if block_bits < 12 else (5, 15)
    reader = ErofsReader(reading(image))
    layouts = [reader.lookup(name).layout for name in root.children]
    assert [int(layout) for layout in layouts[1:]] == [4, 4]
    large = reader.open(reader.lookup(b"large"))
    large.seek((1 << 43) - 3)
    assert large.read() == bytes(3) + b"x" * 5000
    assert len(image) < 60 << 20
    del root.children[b"large"]
    compare_contents(image, root, store)


@pytest.mark.parametrize("name", [None, "lz4", "zstd"])
@pytest.mark.parametrize("share", [True, False])
def test_progress_tells_of_all_bytes(name, share):
    store = Bytes()
    root = without_holes(everything(store))
    root.children[b"twin"] = store.file(content(root.children[b"setuid"], store))
    root.children[b"text"] = store.file(b"text " * 50_000)
    root.children[b"text 2"] = store.file(b"text " * 50_000)
    told = []
    codec = make_codec(name) if name else None
    make(root, store.read, codec=codec, share=share, progress=told.append)
    assert sum(told) == sum({id(node): node.size for _, node in walk(root)}.values())


def test_an_inode_of_one_block_with_its_tail_is_inline():
    store = Bytes()
    root = directory()
    for name, size in ((b"fits", 4096 - 32), (b"not", 4096 - 31), (b"block", 4096)):
        root.children[name] = store.file(NOISE[:size])
    image, _ = make(root, store.read)
    check_image(reading(image))
    reader = ErofsReader(reading(image))
    assert [int(reader.lookup(name).layout) for name in root.children] == [2, 0, 0]
    compare_contents(image, root, store)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"uuid": b"short"}, "UUID of 5 bytes"),
        ({"block_bits": 8}, r"2\*\*8"),
        ({"block_bits": 13}, r"2\*\*13"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, text):
    output = Memory()
    with pytest.raises(ValueError, match=text):
        write_image(directory(), output, **{"read": None, "uuid": UUID, **arguments})
    assert not output.image


def test_a_root_that_is_no_directory_is_refused():
    with pytest.raises(ValueError, match="root"):
        make(Node(0o100644), None)


@pytest.mark.parametrize(
    ("node", "error", "text"),
    [
        (Node(0o120777), InvalidImageError, "target"),
        (Node(0o120777, target=b"a\0b"), InvalidImageError, "target"),
        (Node(0o120777, target=b"t" * 4096), LimitExceededError, "MAX_TARGET"),
        (Node(0o100644, uid=2**32), LimitExceededError, "MAX_OWNER"),
        (Node(0o100644, uid=-1), LimitExceededError, "MAX_OWNER"),
        (Node(0o040755, gid=-1), LimitExceededError, "MAX_OWNER"),
        (Node(0o100644, mtime_ns=2**63 * 10**9), LimitExceededError, "MAX_MTIME"),
        (Node(0o100644, mtime_ns=-(2**63) * 10**9 - 1), LimitExceededError, "MAX_MTIME"),
        (Node(0o100644, size=2**63, segments=()), LimitExceededError, "MAX_SIZE"),
        (Node(0o020644, rdev=os.makedev(4096, 0)), LimitExceededError, "MAX_MAJOR"),
        (Node(0o060644, rdev=os.makedev(0, 2**20)), LimitExceededError, "MAX_MINOR"),
        (Node(0o060644, rdev=-1), LimitExceededError, "MAX_MAJOR"),
        (Node(0o000644), InvalidImageError, "mode 0o644"),
        (Node(0o1100644), InvalidImageError, "mode 0o1100644"),
        (Node(0o100644, size=-1, source=SOURCE), InvalidImageError, "-1 bytes"),
        (Node(0o100644, size=1, source=SOURCE, offset=-5), InvalidLayerError, "-5"),
        (
            Node(0o100644, size=9, source=SOURCE, segments=((5, 2), (0, 1))),
            InvalidLayerError, "out of place",
        ),
        (
            Node(0o100644, size=9, source=SOURCE, segments=((5, 5),)),
            InvalidLayerError, "out of place",
        ),
        (Node(0o100644, xattrs={b"com.apple.x": b""}), UnsupportedError, "com.apple.x"),
        (Node(0o100644, xattrs={b"user.x": bytes(65_536)}), LimitExceededError, "MAX_XATTR_VALUE"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [None, "lz4"])
def test_what_no_image_can_hold_is_refused_before_anything_is_written(node, error, text, name):
    root = directory()
    root.children[b"a file before"] = Node(0o100644, size=10_000, source=SOURCE)
    root.children[b"dir"] = one(node, b"the entry")
    output = Memory()
    codec = make_codec(name) if name else None
    read = []
    with pytest.raises(error, match=f"^/dir/the entry: .*{text}"):
        write_image(root, output, read=lambda *of: read.append(of), uuid=UUID, codec=codec)
    assert not output.image
    assert not read


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (b"", InvalidImageError), (b"..", InvalidImageError), (b"a/b", InvalidImageError),
        (b"n" * 256, LimitExceededError),
    ],
)  # fmt: skip
def test_names_that_are_none_are_refused_before_anything_is_written(name, error):
    root = directory()
    root.children[b"dir"] = one(Node(0o100644), name)
    output = Memory()
    with pytest.raises(error, match=r"^/dir: a name"):
        write_image(root, output, read=None, uuid=UUID)
    assert not output.image


def test_content_of_no_source_is_refused():
    with pytest.raises(ValueError, match="in no source"):
        make(one(Node(0o100644, size=5)), None)
    image, _ = make(one(Node(0o100644, size=5, segments=())), None)
    assert ErofsReader(reading(image)).open(
        ErofsReader(reading(image)).lookup(b"name")
    ).read() == bytes(5)


def test_a_file_that_no_address_reaches_is_refused_before_anything_is_written():
    output = Memory()
    root = one(Node(0o100644, size=2**45, source=SOURCE))
    with pytest.raises(LimitExceededError, match="MAX_BLOCKS"):
        write_image(root, output, read=None, uuid=UUID)
    assert not any(output.image)


def test_files_that_no_address_reaches_together_are_refused(monkeypatch):
    monkeypatch.setattr(contents_module, "MAX_BLOCKS", 30)
    store = Bytes()
    root = directory()
    for number in range(3):
        root.children[b"%d" % number] = store.file(NOISE[:40_960])
    make(root, store.read)
    output = Memory()
    with pytest.raises(LimitExceededError, match="MAX_BLOCKS"):
        write_image(root, output, read=store.read, uuid=UUID, share=False)
    assert not any(output.image)
    codec = make_codec("lz4")
    for number in range(4):
        root.children[b"%d" % number] = store.file(NOISE[number : 40_960 + number])
    with pytest.raises(LimitExceededError, match="MAX_BLOCKS"):
        make(root, store.read, codec=codec)


def test_chunk_tables_together_are_limited(monkeypatch):
    monkeypatch.setattr(plan_module, "MAX_CHUNKS", 40)
    store = Bytes()
    root = one(store.sparse([(4096, b"s" * 4096)], 30 * 4096))
    make(root, store.read)
    root.children[b"second"] = root.children[b"name"]
    make(root, store.read)
    root.children[b"third"] = store.sparse([(4096, b"s" * 4096)], 30 * 4096)
    output = Memory()
    with pytest.raises(LimitExceededError, match="MAX_CHUNKS = 40"):
        write_image(root, output, read=store.read, uuid=UUID)
    assert not output.image


def test_zeros_for_holes_between_large_chunks_are_limited():
    """Else a few megabytes of segments would make terabytes of an image."""
    segments = tuple((at << 33, 1) for at in range(1024))
    output = Memory()
    root = one(Node(0o100644, size=1 << 43, source=SOURCE, segments=segments))
    with pytest.raises(LimitExceededError, match="MAX_FILLING"):
        write_image(root, output, read=None, uuid=UUID)
    assert not output.image


def test_foreign_attributes_are_dropped_on_demand():
    root = one(Node(0o100644, xattrs={b"com.apple.provenance": b"x"}))
    root.children[b"both"] = Node(0o100644, xattrs={b"com.apple.x": b"x", b"user.k": b"v"})
    image, _ = make(root, None, drop_foreign_xattrs=True)
    check_image(reading(image))
    reader = ErofsReader(reading(image))
    assert reader.xattrs(reader.lookup(b"name")) == {}
    assert reader.xattrs(reader.lookup(b"both")) == {b"user.k": b"v"}


@pytest.mark.parametrize("name", [None, "lz4"])
@pytest.mark.parametrize("size", [10, 5000, 300_000])
def test_a_source_that_is_too_short_is_an_error(name, size):
    codec = make_codec(name) if name else None
    root = one(Node(0o100644, size=size, source=SOURCE))
    output = Memory()
    with pytest.raises(InvalidLayerError, match=r"^/name: .* came as 7"):
        write_image(root, output, read=lambda *_: b"7 bytes", uuid=UUID, codec=codec)
    assert not any(output.image[:4096])


@pytest.mark.parametrize("name", [None, "lz4"])
@pytest.mark.parametrize("fails", ["write", "skip", "write_at"])
def test_errors_of_the_output_come_through(name, fails):
    store = Bytes()
    root = everything(store)
    root.children[b"text"] = store.file(b"text " * 900_000)
    before = threading.active_count()
    output = Memory()

    def fail(*_):
        raise OSError(28, "No space left on device")

    setattr(output, fails, fail)
    with pytest.raises(OSError, match="No space"):
        write_image(
            root, output, read=store.read, uuid=UUID, codec=make_codec(name) if name else None
        )
    assert not any(output.image[:4096])
    assert threading.active_count() == before


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_an_interrupt_ends_the_threads(name):
    store = Bytes()
    root = directory()
    for number in range(30):
        root.children[b"%d" % number] = store.file(b"%d " % number * 200_000)
    told = []

    def interrupt(size):
        told.append(size)
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(root, store.read, codec=make_codec(name), progress=interrupt)
    assert len(told) == 3
    assert not [each for each in threading.enumerate() if "ThreadPool" in each.name]


def test_files_that_cannot_be_compressed_lie_together():
    """Small files are not put between the extents of a file that is stored as it is in the end."""
    store = Bytes()
    root = directory()
    root.children[b"a"] = store.file(NOISE)
    root.children[b"twin of a"] = store.file(NOISE)
    for number in range(20):
        root.children[b"b%d" % number] = store.file(b"small %d" % number * 30)
        root.children[b"c%d" % number] = store.file(b"x" * 4096)
        root.children[b"d%d" % number] = store.file(NOISE[number : number + 70_001])
    image, written = make(root, store.read, codec=make_codec("lz4"))
    check_image(reading(image))
    compare_contents(image, root, store)
    assert written.shared == len(NOISE) + 19 * 4096


def test_pieces_come_back_in_order():
    class Reverse:
        algorithm, configuration, extent, kernel = 0, b"", 1, (0, 0)

        def compress(self, data):
            return data[::-1]

    pieces = [(number, b"%d" % number if number % 3 else b"") for number in range(50)]
    found = list(iter_compressed(Reverse(), iter(pieces)))
    assert found == [(number, data, data[::-1]) for number, data in pieces]


def test_the_index_of_extents():
    extents = Extents()
    extents.add_compressed(10, 3, 2)
    extents.add_stored(12, 2)
    assert (extents.blocks, extents.saved, extents.size) == (4, True, 16 + 5 * 8)
    assert extents.encode(3).hex(" ", 8) == (
        "0000000002000300 0000000000000000 010000000a000000 0200000002080200 0200000002000100 "
        "000000000c000000 000000000d000000"
    )


@pytest.mark.parametrize("block_bits", BLOCK_BITS)
def test_what_is_packed_overlaps_nothing_and_crosses_no_block(block_bits):
    source, packer, taken = random.Random(block_bits), Packer(block_bits, 32), set()
    for _ in range(3000):
        shares = source.random() < 0.7
        size = source.randrange(1, (1 << block_bits) + 1 if shares else 3 << block_bits)
        start = packer.place(size, shares=shares)
        assert start >= 32
        assert start % 32 == 0
        assert start + size <= packer.end
        assert not shares or start >> block_bits == start + size - 1 >> block_bits
        units = set(range(start >> 5, start + size + 31 >> 5))
        assert not units & taken
        taken |= units
