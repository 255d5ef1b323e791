import pytest

from orlop.errors import InvalidLayerError, LimitExceededError, UnsafePathError, UnsupportedError
from orlop.tar import TarLimits
from support.tar_members import GNU, SOURCE, header, member, octal, padded, pax, scan, scan_one


def refused(*parts, match, error=InvalidLayerError):
    with pytest.raises(error, match=match):
        scan(*parts)


def pairs_of(pairs, room):
    text = b"".join(octal(start, 12) + octal(length, 12) for start, length in pairs)
    return text.ljust(24 * room, b"\0")


def gnu_sparse(pairs, real_size, data, *, stored=None, name=b"sparse"):
    first, rest = pairs[:4], pairs[4:]
    tail = bytes(41) + pairs_of(first, 4) + (b"\1" if rest else b"\0") + octal(real_size, 12)
    stored = len(data) if stored is None else stored
    blocks = [header(name, b"S", stored, magic=GNU, tail=tail)]
    while rest:
        some, rest = rest[:21], rest[21:]
        blocks.append(pairs_of(some, 21) + (b"\1" if rest else b"\0") + bytes(7))
    return b"".join(blocks) + padded(data)


def test_a_sparse_file_of_gnu():
    pairs = [(512, 512), (4096, 100), (10000, 0)]
    sparse, after = scan(gnu_sparse(pairs, 10000, b"x" * 612), member(b"after"))
    node = sparse.node
    assert (node.source, node.offset, node.size) == (SOURCE, 512, 10000)
    assert node.segments == ((512, 512), (4096, 100))
    assert after.path == b"after"


def test_a_sparse_file_of_gnu_with_further_blocks():
    pairs = [(1000 * number, 10) for number in range(4 + 21 + 1)]
    sparse, after = scan(gnu_sparse(pairs, 10**9, b"x" * 260), member(b"after", b"y"))
    assert sparse.node.segments == tuple(pairs)
    assert sparse.node.offset == 512 * 3
    assert after.node.offset == 512 * 5


def test_a_file_that_is_one_hole_has_no_source():
    node = scan_one(gnu_sparse([(5000, 0)], 5000, b"")).node
    assert (node.source, node.offset, node.size, node.segments) == (None, 0, 5000, ())


def test_a_sparse_file_without_holes_is_plain():
    node = scan_one(gnu_sparse([(0, 600), (600, 12)], 612, b"x" * 612)).node
    assert (node.source, node.offset, node.size, node.segments) == (SOURCE, 512, 612, None)


def test_pieces_that_touch_are_one():
    node = scan_one(gnu_sparse([(0, 512), (512, 512), (2048, 1)], 4096, b"x" * 1025)).node
    assert node.segments == ((0, 1024), (2048, 1))


@pytest.mark.parametrize(
    ("pairs", "stored"),
    [
        ([(0, 512), (100, 512)], 1024),
        ([(1024, 512), (0, 512)], 1024),
        ([(0, 512), (4000, 512)], 1024),
        ([(5000, 0)], 0),
        ([(0, 512)], 513),
        ([(0, 512)], 511),
        ([], 1),
    ],
)
def test_maps_that_cannot_be(pairs, stored):
    refused(gnu_sparse(pairs, 4096, b"x" * stored), match="sparse map")


def test_numbers_in_a_gnu_map_that_are_none():
    block = bytearray(gnu_sparse([(0, 512)], 4096, b"x" * 512))
    block[386:398] = b"\xff" * 12
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:512]))
    refused(bytes(block), match="sparse offset is out of range")


def test_a_gnu_map_that_goes_on_after_its_end():
    block = bytearray(gnu_sparse([(0, 512)], 4096, b"x" * 512))
    block[434:446] = octal(2048, 12)
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:512]))
    refused(bytes(block), match="goes on after its end")


def test_a_sparse_file_with_headers_of_another_format():
    refused(member(b"s", b"x", b"S"), match="another format")
    refused(pax((b"mtime", b"1")), gnu_sparse([(0, 1)], 10, b"x"), match="another format")


def v00(pairs, size):
    numbers = [
        (b"GNU.sparse." + word, b"%d" % number)
        for pair in pairs
        for word, number in zip((b"offset", b"numbytes"), pair, strict=True)
    ]
    return pax(
        (b"GNU.sparse.size", b"%d" % size), (b"GNU.sparse.numblocks", b"%d" % len(pairs)), *numbers
    )


def v01(pairs, size):
    text = b",".join(b"%d,%d" % pair for pair in pairs)
    return pax(
        (b"GNU.sparse.size", b"%d" % size),
        (b"GNU.sparse.numblocks", b"%d" % len(pairs)),
        (b"GNU.sparse.name", b"dir/real"),
        (b"GNU.sparse.map", text),
    )


def v10(size):
    return pax(
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", b"dir/real"),
        (b"path", b"dir/GNUSparseFile.1/real"),
        (b"GNU.sparse.realsize", b"%d" % size),
    )


def map_block(*numbers):
    return padded(b"".join(b"%d\n" % number for number in numbers))


PAIRS = [(512, 512), (4096, 100), (10000, 0)]
SEGMENTS = ((512, 512), (4096, 100))


def test_pax_0_0():
    node = scan_one(v00(PAIRS, 10000), member(b"s", b"x" * 612)).node
    assert (node.size, node.offset, node.segments) == (10000, 1536, SEGMENTS)


def test_pax_0_1():
    entry = scan_one(v01(PAIRS, 10000), member(b"GNUSparseFile.1/s", b"x" * 612))
    assert entry.path == b"dir/real"
    assert (entry.node.size, entry.node.offset, entry.node.segments) == (10000, 1536, SEGMENTS)


def test_pax_1_0():
    data = map_block(3, 512, 512, 4096, 100, 10000, 0) + b"x" * 612
    sparse, after = scan(v10(10000), member(b"s", data), member(b"after"))
    assert sparse.path == b"dir/real"
    assert (sparse.node.size, sparse.node.offset, sparse.node.segments) == (10000, 2048, SEGMENTS)
    assert after.path == b"after"


def test_pax_1_0_with_a_map_of_many_blocks():
    pairs = [(10_000_000 * number, 3) for number in range(500)]
    block = map_block(500, *(number for pair in pairs for number in pair))
    assert len(block) > 4 * 512
    sparse, after = scan(v10(10**10), member(b"s", block + b"x" * 1500), member(b"after", b"y"))
    assert sparse.node.segments == tuple(pairs)
    assert sparse.node.offset == 1536 + len(block)
    assert after.node.size == 1


def test_pax_1_0_with_a_line_across_blocks():
    fillers = b"25\n" + b"".join(b"%019d\n0\n" % 0 for _ in range(24))
    data = padded(fillers + b"7\n5\n")
    assert len(fillers) > 512
    node = scan_one(v10(100), member(b"s", data + b"x" * 5)).node
    assert node.segments == ((7, 5),)


def test_a_map_without_pieces():
    assert scan_one(v10(7), member(b"s", map_block(0))).node.segments == ()
    assert scan_one(v01([], 7), member(b"s")).node.segments == ()


@pytest.mark.parametrize(
    "data",
    [
        padded(b""),
        padded(b"x\n"),
        padded(b"-1\n"),
        padded(b"1_0\n"),
        padded(b"1"),
        padded(b"1\n5\n"),
        padded(b"1\n 5\n1\n") + b"x",
        padded(b"1\n\n1\n") + b"x",
        padded(b"1\n5\nx\n") + b"x",
        padded(b"99999999999999999999999\n"),
        padded(b"1\n5\n1\n"),
        padded(b"1\n5\n1\n") + b"xy",
        b"1\n5\n1\n",
    ],
)
def test_maps_in_the_data_that_are_none(data):
    refused(v10(100), member(b"s", data), member(b"after"), match="sparse map")


def test_a_map_that_never_ends():
    refused(v10(100), member(b"s", padded(b"2\n") + b"0" * 10**6), match="longer than its length")


@pytest.mark.parametrize(
    "records",
    [
        [(b"GNU.sparse.size", b"10")],
        [(b"GNU.sparse.map", b"0,1")],
        [(b"GNU.sparse.map", b"0,1"), (b"GNU.sparse.size", b"-1")],
        [(b"GNU.sparse.map", b"0"), (b"GNU.sparse.size", b"10")],
        [(b"GNU.sparse.map", b"0,1,"), (b"GNU.sparse.size", b"10")],
        [(b"GNU.sparse.map", b"0, 1"), (b"GNU.sparse.size", b"10")],
        [(b"GNU.sparse.map", b"0,1"), (b"GNU.sparse.size", b"10"), (b"GNU.sparse.numblocks", b"2")],
        [(b"GNU.sparse.numbytes", b"1"), (b"GNU.sparse.offset", b"0")],
        [(b"GNU.sparse.offset", b"0"), (b"GNU.sparse.offset", b"0")],
        [(b"GNU.sparse.offset", b"0"), (b"GNU.sparse.size", b"10")],
        [(b"GNU.sparse.offset", b""), (b"GNU.sparse.numbytes", b"1")],
        [(b"GNU.sparse.offset", b"0"), (b"GNU.sparse.numbytes", b"1"), (b"GNU.sparse.map", b"0,1")],
        [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")],
        [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.map", b"0,1")],
    ],
)
def test_records_of_sparse_files_that_are_none(records):
    refused(pax(*records), member(b"s", b"x"), match="sparse|size|numblocks")


@pytest.mark.parametrize("version", [(b"1", b"1"), (b"2", b"0"), (b"0", b"2"), (b"x", b"0")])
def test_sparse_formats_that_are_not_known(version):
    records = pax((b"GNU.sparse.major", version[0]), (b"GNU.sparse.minor", version[1]))
    refused(records, member(), match="not known", error=UnsupportedError)


def test_a_nul_in_the_name_of_a_sparse_file():
    records = [
        (b"GNU.sparse.map", b"0,1"),
        (b"GNU.sparse.size", b"9"),
        (b"GNU.sparse.name", b"a\0"),
    ]
    refused(pax(*records), member(b"s", b"x"), match="NUL")


def test_a_sparse_file_whose_name_leaves_the_root():
    records = [
        (b"GNU.sparse.map", b"0,1"),
        (b"GNU.sparse.size", b"9"),
        (b"GNU.sparse.name", b"../a"),
    ]
    refused(pax(*records), member(b"s", b"x"), match=r"'\.\.'", error=UnsafePathError)


@pytest.mark.parametrize("kind", [b"1", b"2", b"5"])
def test_only_regular_files_are_sparse(kind):
    refused(v01([], 7), member(kind=kind, link=b"x"), match="sparse")


def many_pieces(form):
    pairs = [(10 * number, 1) for number in range(30)]
    if form == "gnu":
        return gnu_sparse(pairs, 1000, b"x" * 30)
    if form == "0.0":
        return v00(pairs, 1000) + member(b"s", b"x" * 30)
    if form == "0.1":
        return v01(pairs, 1000) + member(b"s", b"x" * 30)
    numbers = [number for pair in pairs for number in pair]
    return v10(1000) + member(b"s", map_block(30, *numbers) + b"x" * 30)


@pytest.mark.parametrize("form", ["gnu", "0.0", "0.1", "1.0"])
def test_the_limit_of_pieces_counts_all_files(form):
    archive = many_pieces(form)
    assert len(scan(archive, archive, limits=TarLimits(max_segments=60))) == 2
    with pytest.raises(LimitExceededError, match="max_segments = 59"):
        scan(archive, archive, limits=TarLimits(max_segments=59))
