import io
from hashlib import sha256

import pytest

from orlop.errors import (
    DigestMismatchError,
    InvalidImageError,
    LimitExceededError,
    UnsupportedError,
)
from orlop.fsimage.output import StreamOutput
from orlop.fsimage.verity import (
    DmVerity,
    DmVerityHasher,
    DmVerityOptions,
    DmVerityOutput,
    hasher,
    read_dm_verity,
    verify_dm_verity,
)

UUID = bytes(range(16))
DATA = b"".join(sha256(b"%d" % number).digest() * 128 for number in range(300))
SHA512 = {"algorithm": "sha512", "data_block_size": 512, "hash_block_size": 1024}


def options(**more):
    return DmVerityOptions(**{"uuid": UUID, "salt": b"\x00\x11", **more})


def made(data, settings, **where):
    digests = DmVerityHasher(settings)
    digests.write(data)
    verity = digests.finish(**where)
    tree = io.BytesIO()
    digests.write_tree(verity, StreamOutput(tree))
    assert len(tree.getvalue()) == verity.tree_size
    return verity, tree.getvalue()


def reader(data):
    return lambda offset, size: bytes(data[offset : offset + size])


@pytest.mark.parametrize(
    ("size", "settings", "root_hash", "digest"),
    [
        # As veritysetup 2.6.1 makes them.
        (
            4096, {},
            "e71f7df0226a762febfc05a16f2b661e739f7257096a0ccd8e2d07eed4fecb34",
            "ca4f16941ac072d92bfa69da9af4bdbd06954c228309d3c9abd44e27950434bd",
        ),
        (
            300 * 4096, {},
            "a028d206bfbe51c0b5b462a20b1cd10edfda761f12ccf8aef49b123ac5aa8a27",
            "64af33297861f050894edb54ca22fd72ddf29974053bbe0fc18b8e6c7c6d711f",
        ),
        (
            4096, {"salt": b"", **SHA512},
            ("d7c8ca59b9aed875e51fa5b1f81c4bb536e83ca5375855c4e1cd9f6164967567"
            "8015031dff06e167a944100023bf15545b4aa4537dc9976e6495fef4ca11ff21"),
            "192cb4c013b5d2f4bca754abdc10cc6de69efe3e7c6fd691ce7b35da4dedc64d",
        ),
        (
            300 * 4096, {"salt": b"", **SHA512},
            ("0f78f1e25eb79c347d3e82b0ca90c44221f1a13fee1a8d88033a2c62bc18991e"
            "6adeaa13cb918e50a8d5c144e0187af397932e7734bf91a0c3cfe59ab616c31e"),
            "1df1fe38bbc5bb52e2b586367e3f7f8d9395bd8b594a55f5ade1e88c9afa5882",
        ),
    ],
)  # fmt: skip
def test_trees_are_those_of_veritysetup(size, settings, root_hash, digest):
    verity, tree = made(DATA[:size], options(**settings), hash_offset=0)
    assert verity.root_hash.hex() == root_hash
    assert sha256(tree).hexdigest() == digest


def test_the_tree_of_one_block_is_its_digest():
    verity, tree = made(DATA[:4096], options(), hash_offset=0)
    assert verity.root_hash == sha256(b"\x00\x11" + DATA[:4096]).digest()
    assert verity.level_blocks == ()
    assert tree == verity.superblock() + bytes(4096 - 512)
    verity, tree = made(DATA[:4096], options(superblock=False), hash_offset=0)
    assert tree == b""
    verify_dm_verity(verity, reader(DATA), reader(b""))


def test_pieces_and_zeros_make_no_difference():
    data = bytes(5000) + b"x" * 3192 + bytes(40 * 4096)
    expected = made(data, options(), hash_offset=0)
    digests = DmVerityHasher(options())
    digests.skip(5000)
    for start in range(0, 3192, 7):
        digests.write(b"x" * min(7, 3192 - start))
    digests.skip(39 * 4096 + 1)
    digests.skip(0)
    digests.write(bytearray(4095))
    assert digests.finish(hash_offset=0) == expected[0]


def test_items_of_several_bytes_are_bytes():
    digests = DmVerityHasher(options())
    digests.write(memoryview(DATA).cast("I"))
    assert digests.finish().root_hash == made(DATA, options())[0].root_hash


def test_a_tree_is_appended_at_the_next_hash_block():
    stream = io.BytesIO()
    output = DmVerityOutput(StreamOutput(stream), options(data_block_size=512))
    output.write(DATA[:600])
    output.skip(512 * 3 - 600)
    verity = output.append_tree()
    image = stream.getvalue()
    assert (verity.hash_offset, verity.hash_start_block) == (4096, 2)
    assert len(image) == verity.hash_offset + verity.tree_size == 3 * 4096
    assert image[:1536] == DATA[:600] + bytes(936)
    assert image[4096:4608] == verity.superblock()
    assert read_dm_verity(reader(image), verity.root_hash, hash_offset=4096) == verity
    verify_dm_verity(verity, reader(image), reader(image))


def test_a_superblock_may_share_the_block_before_the_tree():
    verity, tree = made(DATA, options(), hash_offset=512)
    assert verity.hash_start_block == 1
    assert len(tree) == verity.tree_size == 7 * 512 + 4 * 4096


@pytest.mark.parametrize("data", [b"", b"x", DATA[:4097]])
def test_data_that_are_not_whole_blocks_have_no_tree(data):
    digests = DmVerityHasher(options())
    digests.write(data)
    with pytest.raises(ValueError, match="not whole blocks of 4096"):
        digests.finish()


def test_a_finished_tree_takes_no_more_data():
    digests = DmVerityHasher(options())
    digests.write(DATA)
    verity = digests.finish()
    assert digests.finish(hash_offset=512).root_hash == verity.root_hash
    with pytest.raises(ValueError, match="takes no more"):
        digests.write(b"x")
    with pytest.raises(ValueError, match="takes no more"):
        digests.skip(1)


def test_only_the_finished_tree_is_written():
    digests = DmVerityHasher(options())
    digests.write(DATA[:4096])
    verity, _ = made(DATA, options())
    for _ in range(2):
        with pytest.raises(ValueError, match="not finished, or it is another one"):
            digests.write_tree(verity, StreamOutput(io.BytesIO()))
        digests.finish()


def test_digests_are_bounded(monkeypatch):
    monkeypatch.setattr(hasher, "MAX_DIGESTS_SIZE", 320)
    digests = DmVerityHasher(options())
    digests.skip(10 * 4096)
    with pytest.raises(LimitExceededError, match="MAX_DIGESTS_SIZE = 320"):
        digests.write(bytes(4096))
    with pytest.raises(LimitExceededError, match="MAX_DIGESTS_SIZE"):
        DmVerityHasher(options()).skip(1 << 50)


@pytest.mark.parametrize(
    "wrong",
    [
        {"uuid": bytes(16)}, {"uuid": b"x"}, {"salt": bytes(257)}, {"algorithm": "sha1"},
        {"data_block_size": 8192}, {"hash_block_size": 1000}, {"data_block_size": 256},
    ],
)  # fmt: skip
def test_other_options_are_refused(wrong):
    with pytest.raises(ValueError):
        options(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"root_hash": b"x"}, {"data_blocks": 0}, {"data_blocks": 1 << 60}, {"hash_offset": 100},
        {"hash_offset": -512}, {"hash_offset": 512, "options": options(superblock=False)},
    ],
)  # fmt: skip
def test_impossible_devices_are_refused(wrong):
    with pytest.raises(ValueError):
        DmVerity(
            **{
                "options": options(), "root_hash": bytes(32), "data_blocks": 1, "hash_offset": 0,
                **wrong,
            }
        )  # fmt: skip


# Opening.

DEVICE = DmVerity(
    options=options(), root_hash=b"\xab" * 32, data_blocks=300, hash_offset=300 * 4096
)
TABLE = f"0 2400 verity 1 /dev/vda /dev/vda 4096 4096 300 301 sha256 {'ab' * 32} 0011"


def test_the_table_is_that_of_the_kernel():
    assert DEVICE.table("/dev/vda") == TABLE
    assert DEVICE.table("254:0", "254:1").startswith(
        "0 2400 verity 1 254:0 254:1 4096 4096 300 301"
    )
    options_at_end = DEVICE.table(
        "/dev/vda", features=["ignore_zero_blocks", "panic_on_corruption"]
    )
    assert options_at_end == f"{TABLE} 2 ignore_zero_blocks panic_on_corruption"


def test_no_salt_is_a_dash():
    verity, _ = made(DATA, options(salt=b""))
    assert verity.table("/dev/vda").endswith(f" sha256 {verity.root_hash.hex()} -")


def test_the_command_line_of_the_kernel_makes_it_at_boot():
    assert DEVICE.kernel_argument("/dev/vda") == f'dm-mod.create="root,,,ro,{TABLE}"'


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a;b", 'a"b'])
def test_names_that_would_be_taken_for_more_are_refused(name):
    with pytest.raises(ValueError):
        DEVICE.kernel_argument("/dev/vda", name=name)


@pytest.mark.parametrize("device", ["", "/dev/a b", "/dev/vda\n"])
def test_devices_that_would_be_taken_for_more_are_refused(device):
    with pytest.raises(ValueError):
        DEVICE.table(device)
    with pytest.raises(ValueError):
        DEVICE.table("/dev/vda", device)


def test_veritysetup_opens_it():
    root_hash = "ab" * 32
    assert DEVICE.open_command("/dev/vda", name="sys") == (
        "veritysetup", "open", "/dev/vda", "sys", "/dev/vda", root_hash, "--hash-offset=1228800",
    )  # fmt: skip


# Reading.


@pytest.mark.parametrize(
    ("offset", "value", "error"),
    [
        (0, b"V", InvalidImageError),
        (8, b"\x02", UnsupportedError),
        (12, b"\x00", UnsupportedError),
        (16, bytes(16), InvalidImageError),
        (32, b"md5\0\0\0", UnsupportedError),
        (32, b"sha512", InvalidImageError),
        (64, b"\x01", InvalidImageError),
        (72, bytes(8), InvalidImageError),
        (72, b"\xff" * 8, InvalidImageError),
        (80, b"\x01\x01", InvalidImageError),
    ],
)
def test_broken_superblocks_are_refused(offset, value, error):
    verity, tree = made(DATA, options(), hash_offset=0)
    broken = tree[:offset] + value + tree[offset + len(value) :]
    with pytest.raises(error):
        read_dm_verity(reader(broken), verity.root_hash)


def test_a_missing_superblock_is_refused():
    with pytest.raises(InvalidImageError, match="ends inside"):
        read_dm_verity(reader(b"verity"), bytes(32))


def test_the_first_bad_block_is_named():
    verity, tree = made(DATA, options(), hash_offset=0)
    data = bytearray(DATA)
    data[200 * 4096] ^= 1
    data[250 * 4096 + 4095] ^= 1
    with pytest.raises(DigestMismatchError, match=r"^data block 200: expected [0-9a-f]{64}, found"):
        verify_dm_verity(verity, reader(data), reader(tree))


@pytest.mark.parametrize(
    ("offset", "name"),
    [(4096, "level 1, block 0"), (2 * 4096, "level 0, block 0"), (4 * 4096 + 4095, "block 2")],
)
def test_a_bad_block_of_the_tree_is_named(offset, name):
    verity, tree = made(DATA, options(), hash_offset=0)
    broken = bytearray(tree)
    broken[offset] ^= 1
    with pytest.raises(DigestMismatchError, match=name):
        verify_dm_verity(verity, reader(DATA), reader(broken))


def test_another_root_hash_fails_at_once():
    verity, tree = made(DATA, options(), hash_offset=0)
    other = read_dm_verity(reader(tree), bytes(32))
    with pytest.raises(
        DigestMismatchError, match=f"expected {'00' * 32}, found {verity.root_hash.hex()}"
    ):
        verify_dm_verity(other, reader(b""), reader(tree))


def test_devices_that_were_cut_short_are_refused():
    verity, tree = made(DATA, options(), hash_offset=0)
    with pytest.raises(InvalidImageError, match="ends inside"):
        verify_dm_verity(verity, reader(DATA[:-1]), reader(tree))
    with pytest.raises(InvalidImageError, match="ends inside"):
        verify_dm_verity(verity, reader(DATA), reader(tree[:-1]))
