import pytest

from orlop.errors import LimitExceededError
from orlop.tar import TarLimits
from orlop.tar.limits import ATTRIBUTE_COST
from support.tar_members import GNU, header, long_name, member, pax, scan, scan_one


def over(limit, *parts, **limits):
    with pytest.raises(LimitExceededError) as caught:
        scan(*parts, limits=TarLimits(**limits))
    assert caught.value.limit == limit
    assert caught.value.value == getattr(TarLimits(**limits), limit)
    assert "offset" in str(caught.value)


def test_entries():
    assert len(scan(member(b"a"), member(b"b"), limits=TarLimits(max_entries=2))) == 2
    over("max_entries", member(b"a"), member(b"b"), max_entries=1)


def test_entries_that_are_markers_count():
    over("max_entries", member(b".wh.a"), member(b".wh.b"), max_entries=1)


def test_metadata():
    archive = pax((b"SCHILY.xattr.user.x", b"v" * 100)) + member(
        b"n" * 50, kind=b"2", link=b"l" * 50
    )
    size = 50 + 50 + 6 + 100 + ATTRIBUTE_COST
    assert len(scan(archive, limits=TarLimits(max_metadata_size=size))) == 1
    over("max_metadata_size", archive, max_metadata_size=size - 1)


def test_all_global_headers_together():
    def one(name):
        return pax((b"SCHILY.xattr.user." + name, b"v" * 1000), kind=b"g")

    limit = 2 * (13 + 5 + 1 + 1000)
    assert scan(one(b"a"), one(b"b"), one(b"b"), limits=TarLimits(max_header_size=limit)) == []
    over("max_header_size", one(b"a"), one(b"b"), one(b"c"), max_header_size=limit)


def test_global_headers_that_change_nothing_take_no_memory():
    comments = [pax((b"comment%d" % number, b"x" * 1000), kind=b"g") for number in range(10)]
    assert scan(*comments, limits=TarLimits(max_header_size=2000)) == []


def test_global_records_that_are_taken_back_count_no_more():
    def one(name, value=b"v" * 1000):
        return pax((b"SCHILY.xattr.user." + name, value), kind=b"g")

    limit = 2 * (13 + 5 + 1 + 1000)
    parts = [one(b"a"), one(b"b"), one(b"a", b""), one(b"a", b""), one(b"c"), one(b"c")]
    assert scan(*parts, limits=TarLimits(max_header_size=limit)) == []
    over("max_header_size", *parts, one(b"d"), max_header_size=limit)


def test_attributes_of_a_global_header_count_for_every_member():
    names = pax(*((b"SCHILY.xattr.%d" % number, b"v") for number in range(1000)), kind=b"g")
    each = 1000 * (ATTRIBUTE_COST + 1) + sum(len(b"%d" % number) for number in range(1000))
    members = [member(b"a"), member(b"b")]
    assert len(scan(names, *members, limits=TarLimits(max_metadata_size=2 * (each + 1)))) == 2
    over("max_metadata_size", names, *members, max_metadata_size=2 * each)


def test_headers():
    size = len(b"1009 path=" + b"d/" * 499 + b"\n")
    archive = pax((b"path", b"d/" * 499)) + member(b"x", kind=b"5")
    assert size == 1009
    assert scan_one(archive, limits=TarLimits(max_header_size=size))
    over("max_header_size", archive, max_header_size=size - 1)
    over("max_header_size", long_name(b"n" * 200), member(magic=GNU), max_header_size=200)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_header_that_only_says_it_is_large(kind):
    over("max_header_size", header(b"x", kind, 8**11 - 1))


def test_paths():
    path = b"/".join([b"n" * 254] * 16) + b"/" + b"m" * 15
    assert len(path) == 4095
    assert scan_one(pax((b"path", path)), member()).path == path
    over("max_path_size", pax((b"path", path + b"m")), member())
    over("max_path_size", long_name(path + b"m", b"K"), member(kind=b"1", magic=GNU))
    over("max_path_size", long_name(b"m" * 4096, b"K"), member(kind=b"2", magic=GNU))


def test_a_short_limit_of_paths():
    over("max_path_size", member(b"abcdef"), max_path_size=5)


def test_components():
    assert scan_one(pax((b"path", b"d/" + b"n" * 255)), member())
    over("max_name_size", pax((b"path", b"d/" + b"n" * 256)), member())
    over("max_name_size", pax((b"path", b"n" * 256 + b"/d")), member())


def test_names_of_attributes():
    assert scan_one(pax((b"SCHILY.xattr.user." + b"n" * 250, b"")), member())
    over("max_xattr_name_size", pax((b"SCHILY.xattr.user." + b"n" * 251, b"")), member())


def test_values_of_attributes():
    assert scan_one(pax((b"SCHILY.xattr.user.n", b"v" * 65536)), member())
    over("max_xattr_value_size", pax((b"SCHILY.xattr.user.n", b"v" * 65537)), member())


def test_lists_of_attributes():
    names = [b"user.%0250d" % number for number in range(256)]
    records = [(b"SCHILY.xattr." + name, b"") for name in names]
    assert len(scan_one(pax(*records), member()).node.xattrs) == 256
    over("max_xattr_list_size", pax(*records, (b"SCHILY.xattr.user.one", b"")), member())
