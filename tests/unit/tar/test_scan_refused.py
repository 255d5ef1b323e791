import pytest

from orlop.errors import InvalidLayerError, OrlopError, UnsafePathError, UnsupportedError
from orlop.tar import TarScanner
from support.tar_members import END, GNU, V7, header, long_name, member, pax, scan


def refused(*parts, match, error=InvalidLayerError, end=END):
    with pytest.raises(error, match=match) as caught:
        scan(*parts, end=end)
    return caught.value


def test_the_error_names_the_entry_and_its_offset():
    error = refused(member(b"a", b"x"), member(b"bad/name", kind=b"2"), match="no target")
    assert error.where == "offset 1024 ('bad/name')"


def test_a_name_in_an_error_shows_nothing_to_the_terminal():
    error = refused(member(b"\x1b[31m\xff", kind=b"2"), match="no target")
    assert error.where == r"offset 0 ('\x1b[31m\udcff')"


def test_a_wrong_checksum():
    block = bytearray(header())
    block[0] ^= 1
    assert refused(bytes(block), match="checksum is wrong").where == "offset 0"


@pytest.mark.parametrize("field", [b"", b"garbage", b"-1", b"777777\0 "])
def test_a_checksum_that_is_none(field):
    refused(header(checksum_field=field), match="checksum")


@pytest.mark.parametrize(
    "field",
    [
        *("mode_field", "uid_field", "gid_field", "size_field", "mtime_field"),
        *("major_field", "minor_field"),
    ],
)
@pytest.mark.parametrize("kind", [b"0", b"3", b"x", b"L"])
@pytest.mark.parametrize(
    "value",
    [
        b"0000_17\0",
        b"+000017\0",
        b"-000017\0",
        b"0o00017\0",
        b"0000018\0",
        b"17\x0017\0\0\0",
        b"1 7     ",
        b"\t    17\0",
        b"\xb2\xb3    \0\0",
        b"\x00000017\0",
    ],
)
def test_garbage_in_numbers(field, value, kind):
    refused(header(kind=kind, **{field: value}), match="is not a number")


@pytest.mark.parametrize("kind", [b"0", b"x", b"L"])
def test_negative_sizes(kind):
    refused(header(kind=kind, size_field=b"\xff" * 12), match="size is out of range: -1")


def test_sizes_beyond_63_bits():
    refused(header(size_field=b"\x80" + (2**63).to_bytes(11, "big")), match="size is out of range")


@pytest.mark.parametrize("field", ["uid_field", "gid_field"])
@pytest.mark.parametrize("number", [2**32 - 1, 2**32, 2**55])
def test_owners_beyond_32_bits(field, number):
    refused(header(**{field: b"\x80" + number.to_bytes(7, "big")}), match="out of range")


def test_negative_owners_and_modes():
    refused(header(uid_field=b"\xff" * 8), match="uid is out of range")
    refused(header(mode_field=b"\xff" * 8), match="mode is out of range")


def test_times_beyond_64_bits():
    refused(header(mtime_field=b"\x80" + b"\x7f" * 11), match="mtime is out of range")


def test_devices_beyond_what_linux_has():
    refused(member(kind=b"3", major=4096), match="out of range")
    refused(member(kind=b"3", minor=2**20), match="out of range")


@pytest.mark.parametrize("name", [b"../x", b"a/../b", b"..", b"a/..", b"/../x", b"./.."])
def test_names_that_leave_the_root(name):
    error = refused(member(name), match="'..'", error=UnsafePathError)
    assert error.where.startswith("offset 0")


def test_hard_links_that_leave_the_root():
    refused(member(b"l", kind=b"1", link=b"a/../../b"), match="'..'", error=UnsafePathError)


@pytest.mark.parametrize("kind", [b"0", b"1", b"2", b"3", b"6"])
@pytest.mark.parametrize("name", [b".", b"/", b"./"])
def test_the_root_is_nothing_but_a_directory(name, kind):
    refused(member(name, kind=kind, link=b"target"), match="root|slash")


def test_a_hard_link_to_the_root():
    refused(member(b"l", kind=b"1", link=b"./"), match="root")


def test_no_name():
    refused(member(b""), match="name is empty")


@pytest.mark.parametrize("kind", [b"1", b"2"])
def test_no_target(kind):
    refused(member(b"l", kind=kind), match="no target")


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6"])
def test_data_where_none_belong(kind):
    refused(member(b"x", b"data", kind, link=b"target"), match="4 bytes of data")


@pytest.mark.parametrize("kind", [b"0", b"7"])
def test_a_regular_file_whose_name_ends_in_a_slash(kind):
    refused(member(b"dir/", kind=kind), match="ends in a slash")


@pytest.mark.parametrize("kind", [b"0", b"\0"])
def test_a_regular_file_whose_name_ends_in_a_slash_and_a_dot(kind):
    refused(member(b"dir/.", kind=kind), match="ends in a slash")


def test_a_hard_link_to_itself():
    refused(member(b"a/b", kind=b"1", link=b"./a//b"), match="itself")


@pytest.mark.parametrize(
    "extended",
    [
        pax((b"k" * 10**5, b"1"), (b"k" * 10**5, b"2")),
        pax((b"GNU.sparse." + b"k" * 10**5, b"1"), kind=b"g"),
        pax((b"GNU.sparse.major", b"9" * 10**5)),
        pax((b"uid", b"9" * 10**5)),
        pax((b"mtime", b"9" * 10**5)),
        pax((b"path", b"../" * 10**4)),
        pax((b"LIBARCHIVE.xattr." + b"%00" * 10**4, b"")),
    ],
)
def test_messages_stay_short(extended):
    error = refused(extended, member(), match="offset", error=OrlopError)
    assert len(str(error)) < 1500


def test_a_directory_of_v7_with_data():
    refused(member(b"dir/", b"x", b"\0", magic=V7), match="ends in a slash")


def test_an_unknown_magic():
    refused(member(magic=b"ustar 00"), match="unknown magic")
    refused(member(magic=b"whatever"), match="unknown magic")


@pytest.mark.parametrize("kind", [b"D", b"M", b"N", b"X", b"A", b"8", b"z", b"\xff"])
def test_other_types(kind):
    refused(member(kind=kind), match="not supported", error=UnsupportedError)


def test_a_volume_label_with_data():
    refused(member(b"label", b"x", b"V"), match="not supported", error=UnsupportedError)


def test_a_lone_zero_block():
    refused(member(b"a"), bytes(512), member(b"b"), match="lone zero block")


def test_garbage_after_a_lone_zero_block():
    refused(bytes(512), b"garbage", match="cut short", end=b"")


@pytest.mark.parametrize("cut", range(1, 1536 + 700, 37))
def test_an_archive_that_is_cut(cut):
    stream = pax((b"path", b"f")) + member(b"f", b"x" * 600)
    assert len(stream) == 1024 + 512 + 1024
    refused(stream[:cut], match="cut short", end=b"")


def test_an_archive_that_ends_inside_padding():
    stream = member(b"f", b"x" * 600)
    refused(stream[: 512 + 600], match="cut short", end=b"")
    refused(stream[:-1], match="cut short", end=b"")


@pytest.mark.parametrize("extended", [pax((b"path", b"f")), long_name(b"f"), long_name(b"f", b"K")])
@pytest.mark.parametrize("end", [b"", END])
def test_an_extended_header_without_its_member(extended, end):
    refused(extended, match="cut short|ends after an extended header", end=end)


@pytest.mark.parametrize(
    "extended",
    [
        pax((b"size", b"1")) + long_name(b"n"),
        pax((b"size", b"1")) + long_name(b"n", b"K"),
        long_name(b"n") + pax((b"size", b"1")),
        long_name(b"n", b"K") + pax((b"path", b"x")),
        long_name(b"n") + long_name(b"n"),
        long_name(b"n", b"K") + long_name(b"m", b"K"),
        pax((b"path", b"x")) + pax((b"path", b"y")),
        pax((b"path", b"x")) + pax((b"mtime", b"1"), kind=b"g"),
        long_name(b"n") + pax((b"mtime", b"1"), kind=b"g"),
    ],
)
def test_extended_headers_that_readers_take_differently(extended):
    refused(extended, member(b"f", magic=GNU), match="extended headers|global header stands")


@pytest.mark.parametrize("extended", [pax((b"path", b"f")), long_name(b"f")])
def test_padding_of_extended_headers_that_some_would_read(extended):
    refused(extended[:-1] + b"x", member(b"f", magic=GNU), match="padding")


def test_long_names_that_are_none():
    refused(member(b"L", b"\0\0", b"L"), member(), match="long name")
    refused(member(b"L", b"a\0b\0", b"L"), member(), match="long name")
    refused(member(b"L", b"", b"L"), member(), match="long name")


def test_no_further_bytes_are_taken_after_an_error():
    scanner = TarScanner(None)
    with pytest.raises(InvalidLayerError):
        scanner.feed(b"x" * 512)
    with pytest.raises(OrlopError, match="found broken before"):
        scanner.feed(member(b"f"))
    with pytest.raises(OrlopError):
        scanner.close()
