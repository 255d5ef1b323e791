from hypothesis import given
from hypothesis import strategies as st

from orlop.fsimage.erofs.compacted import divide, iter_entries
from orlop.fsimage.erofs.compressed import BLOCK_COUNT


@given(st.integers(0, 100).map(lambda units: 8 * units), st.integers(1, 500), st.booleans())
def test_an_index_is_divided_into_all_of_its_entries(start, count, large):
    """Packs of 16 are aligned to 32 bytes; all packs have room for all entries."""
    packs = divide(start, count, large=large)
    assert packs.before + packs.large + packs.behind == count
    assert packs.large % 16 == 0
    assert large or not packs.large
    assert not packs.large or (start + 4 * packs.before) % 32 == 0
    assert packs.behind < 16
    assert 2 * count <= packs.size <= 4 * count + 4


@given(st.binary(min_size=3000, max_size=3000), st.integers(1, 700), st.booleans(), st.booleans())
def test_any_bytes_are_an_index(data, count, large, big):
    """What entries say is judged where they are followed; here each has a kind and two numbers."""
    packs = divide(40, count, large=large)
    found = list(iter_entries(lambda at, size: data[at : at + size], 40, packs, big=big))
    assert len(found) == count
    for kind, offset, value in found:
        assert 0 <= kind < 4
        assert 0 <= offset < 4096
        assert 0 <= value < (1 << 32) + 16 * BLOCK_COUNT


def pack(entries, block, width):
    bits = sum((kind << 12 | low) << width * at for at, (kind, low) in enumerate(entries))
    return bits.to_bytes(len(entries) * width // 8, "little") + block.to_bytes(4, "little")


def test_a_pack_of_sixteen_counts_blocks_from_one_address():
    """An extent whose number of blocks is in the pack moves the next one on by these."""
    entries = [
        (2, 5), (1, 100), (2, BLOCK_COUNT | 3), (2, 2), (0, 7), (1, 0), (2, BLOCK_COUNT | 2),
        (2, 2), (2, 3), (1, 9), (2, BLOCK_COUNT | 4), (2, 2), (2, 3), (2, 4), (2, 5), (2, 1),
    ]  # fmt: skip
    data = pack(entries, 1000, 14)
    packs = divide(0, 16, large=True)
    found = list(iter_entries(lambda at, size: data[at : at + size], 0, packs, big=True))
    heads = [entry for entry in found if entry[0] != 2]
    assert heads == [(1, 100, 1000), (0, 7, 1003), (1, 0, 1004), (1, 9, 1006)]
    assert found[2] == (2, 0, BLOCK_COUNT | 3)
    assert found[15] == (2, 0, 6)
    small = list(
        iter_entries(
            lambda at, size: pack([(1, 5), (1, 6)], 20, 16), 8, divide(8, 2, large=True), big=False
        )
    )
    assert small == [(1, 5, 21), (1, 6, 22)]
