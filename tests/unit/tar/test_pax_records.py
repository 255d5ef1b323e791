import pytest

from orlop.errors import InvalidLayerError, UnsupportedError
from support.tar_members import member, pax, record, scan, scan_one


def refused(*parts, match):
    with pytest.raises(InvalidLayerError, match=match):
        scan(*parts)


def test_records_override_the_header():
    entry = scan_one(
        pax(
            (b"path", b"caf\xc3\xa9/\xff"),
            (b"uid", b"4294967294"),
            (b"gid", b"7"),
            (b"mtime", b"1.5"),
            (b"size", b"3"),
        ),
        member(b"f", b"abc", uid=1, gid=1, mtime=99, size_field=b"0"),
    )
    node = entry.node
    assert entry.path == b"caf\xc3\xa9/\xff"
    assert (node.uid, node.gid, node.mtime_ns) == (4294967294, 7, 1_500_000_000)
    assert (node.size, node.offset) == (3, 1536)


def test_the_size_of_a_record_is_the_one_that_is_passed_over():
    one, two = scan(pax((b"size", b"513")), member(b"a", b"x" * 513, size_field=b"0"), member(b"b"))
    assert (one.node.size, two.path) == (513, b"b")


def test_a_link_path():
    assert scan_one(pax((b"linkpath", b"t" * 300)), member(kind=b"2")).node.target == b"t" * 300
    assert scan_one(pax((b"linkpath", b"t/u")), member(kind=b"1", link=b"x")).target == b"t/u"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"0", 0),
        (b"1700000000", 1_700_000_000_000_000_000),
        (b"1700000000.123456789", 1_700_000_000_123_456_789),
        (b"1.000000001999", 1_000_000_001),
        (b"0.1", 100_000_000),
        (b"3.", 3_000_000_000),
        (b"-1", -1_000_000_000),
        (b"-1.5", -1_500_000_000),
        (b"-0.25", -250_000_000),
        (b"-0.0000000001", -1),
        (b"253402300800.9", 253_402_300_800_900_000_000),
    ],
)
def test_times_are_exact(text, nanoseconds):
    assert scan_one(pax((b"mtime", text)), member()).node.mtime_ns == nanoseconds


@pytest.mark.parametrize(
    "text",
    [b"x", b".5", b"1e5", b"+1", b"1_0", b" 1", b"1 ", b"--1", b"9" * 20, b"1.5.5", b"1.5\n"],
)
def test_times_that_are_none(text):
    refused(pax((b"mtime", text)), member(), match="mtime is not a time")


@pytest.mark.parametrize("keyword", [b"size", b"uid", b"gid", b"SCHILY.devmajor"])
@pytest.mark.parametrize(
    "text", [b"-1", b"+1", b"1_0", b" 1", b"0x1", b"1.0", b"\xd9\xa3", b"1" * 21]
)
def test_numbers_that_are_none(keyword, text):
    refused(pax((keyword, text)), member(kind=b"3"), match="is not a number")


@pytest.mark.parametrize(
    ("keyword", "text"),
    [(b"size", b"9223372036854775808"), (b"uid", b"4294967295"), (b"SCHILY.devminor", b"1048576")],
)
def test_numbers_out_of_range(keyword, text):
    refused(pax((keyword, text)), member(), match="out of range")


@pytest.mark.parametrize("keyword", [b"path", b"linkpath"])
def test_a_nul_in_a_path(keyword):
    refused(pax((keyword, b"a\0b")), member(), match="NUL")


@pytest.mark.parametrize(
    "body",
    [
        b"x path=a\n",
        b"11 path=a\n",
        b"8 path=a\n",
        b"9 path=ab",
        b"99 path=a\n",
        b"0 path=a\n",
        b"-9 path=a\n",
        b" 9 path=a\n",
        b"+9 path=a\n",
        b"path=a\n",
        b"8 patha\n",
        b"5 =a\n",
        b"2 \n",
        b"9" * 30 + b" path=a\n",
        b"10 p\0th=ab\n",
        record(b"path", b"a") + b"\0",
    ],
)
def test_records_that_are_none(body):
    refused(pax(body), member(), match="PAX record")


def test_a_record_with_newlines_and_equal_signs():
    value = b"a=b\n12 path=evil\n=\n"
    entry = scan_one(pax((b"SCHILY.xattr.user.x", value)), member())
    assert (entry.path, entry.node.xattrs) == (b"file", {b"user.x": value})


def test_the_same_record_twice():
    assert scan_one(pax((b"path", b"a"), (b"path", b"a")), member()).path == b"a"
    refused(pax((b"path", b"a"), (b"path", b"b")), member(), match="contradict")
    refused(pax((b"size", b"1"), (b"size", b"2")), member(), match="contradict")


def test_an_extended_header_without_records():
    assert scan_one(pax(), member()).path == b"file"


def test_unknown_records_are_passed_over():
    records = [
        (b"comment", b"\xff\0"),
        (b"atime", b"x"),
        (b"uname", b"root"),
        (b"hdrcharset", b"BINARY"),
    ]
    assert scan_one(pax(*records), member()).path == b"file"


def test_global_records_hold_for_all_that_follow():
    one, two, three = scan(
        member(b"1", mtime=1),
        pax((b"mtime", b"2.5"), (b"comment", b"abc"), kind=b"g"),
        member(b"2", mtime=1),
        pax((b"mtime", b"3"), (b"uid", b"5")),
        member(b"3"),
    )
    assert [each.node.mtime_ns for each in (one, two, three)] == [10**9, 25 * 10**8, 3 * 10**9]
    assert [each.node.uid for each in (one, two, three)] == [0, 0, 5]


def test_an_empty_value_takes_a_global_record_back():
    one, two, three = scan(
        pax((b"uid", b"7"), kind=b"g"),
        pax((b"uid", b"")),
        member(b"1", uid=1),
        member(b"2", uid=1),
        pax((b"uid", b""), kind=b"g"),
        member(b"3", uid=1),
    )
    assert [each.node.uid for each in (one, two, three)] == [1, 7, 1]


@pytest.mark.parametrize(
    "keyword", [b"path", b"linkpath", b"size", b"GNU.sparse.size", b"SCHILY.devmajor"]
)
def test_global_records_that_readers_take_differently(keyword):
    refused(pax((keyword, b"1"), kind=b"g"), member(), match="global PAX header sets")


def test_attributes_as_raw_bytes():
    value = bytes(range(256))
    node = scan_one(pax((b"SCHILY.xattr.security.capability", value)), member()).node
    assert node.xattrs == {b"security.capability": value}


def test_an_empty_attribute_is_one():
    assert scan_one(pax((b"SCHILY.xattr.user.e", b"")), member()).node.xattrs == {b"user.e": b""}


@pytest.mark.parametrize("text", [b"AAEC/w==", b"AAEC/w"])
def test_attributes_of_libarchive(text):
    node = scan_one(pax((b"LIBARCHIVE.xattr.user.a%3Db%25", text)), member()).node
    assert node.xattrs == {b"user.a=b%": b"\0\1\2\xff"}


def test_both_forms_of_an_attribute():
    both = [(b"SCHILY.xattr.user.a", b"\0"), (b"LIBARCHIVE.xattr.user.a", b"AA")]
    assert scan_one(pax(*both), member()).node.xattrs == {b"user.a": b"\0"}
    both[1] = (b"LIBARCHIVE.xattr.user.a", b"AQ")
    refused(pax(*both), member(), match="two values")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        (b"LIBARCHIVE.xattr.user.a", b"A"),
        (b"LIBARCHIVE.xattr.user.a", b"A*A="),
        (b"LIBARCHIVE.xattr.user.a", b"AA\nAA"),
        (b"LIBARCHIVE.xattr.user.%", b"AA"),
        (b"LIBARCHIVE.xattr.user.%zz", b"AA"),
        (b"LIBARCHIVE.xattr.user%00", b"AA"),
        (b"LIBARCHIVE.xattr.", b"AA"),
        (b"SCHILY.xattr.", b"x"),
    ],
)
def test_attributes_that_are_none(keyword, value):
    refused(pax((keyword, value)), member(), match="attribute")


def test_sparse_files_of_star_are_not_supported():
    with pytest.raises(UnsupportedError, match="star"):
        scan(pax((b"SCHILY.realsize", b"1")), member())
