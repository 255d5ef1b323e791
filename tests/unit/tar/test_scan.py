import os

import pytest

from orlop.errors import InvalidLayerError
from orlop.tar import TarScanner
from orlop.tree import Link, Put
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG
from support.tar_members import END, GNU, SOURCE, V7, header, long_name, member, pax, scan, scan_one


def test_a_regular_file_says_where_its_bytes_lie():
    entry = scan_one(member(b"a/b", b"hello", mode=0o104755, uid=1000, gid=100, mtime=1234567890))
    node = entry.node
    assert entry.path == b"a/b"
    assert node.mode == S_IFREG | 0o4755
    assert (node.uid, node.gid, node.mtime_ns) == (1000, 100, 1234567890_000000000)
    assert (node.source, node.offset, node.size, node.segments) == (SOURCE, 512, 5, None)
    assert node.xattrs == {}


def test_offsets_count_from_the_beginning_of_the_stream():
    first, second, third = scan(
        member(b"a", b"x" * 512),
        member(b"b", b"y" * 513),
        pax((b"mtime", b"1")),
        member(b"c", b"z"),
    )
    assert first.node.offset == 512
    assert second.node.offset == 1536
    assert third.node.offset == 1536 + 1024 + 1024 + 512


def test_an_empty_file_has_no_source():
    node = scan_one(member()).node
    assert (node.source, node.offset, node.size) == (None, 0, 0)


@pytest.mark.parametrize("kind", [b"0", b"7", b"\0"])
def test_plain_old_and_contiguous_files_are_regular(kind):
    assert scan_one(member(b"f", b"x", kind)).node.mode == S_IFREG | 0o644


def test_directories():
    one, two = scan(member(b"dir/", kind=b"5", mode=0o755), member(b"other", kind=b"5"))
    assert (one.path, one.node.mode) == (b"dir", S_IFDIR | 0o755)
    assert one.node.children == {}
    assert two.path == b"other"


@pytest.mark.parametrize("name", [b"./", b"/", b".", b"//./"])
def test_the_root_is_the_empty_path(name):
    entry = scan_one(member(name, kind=b"5", mode=0o700))
    assert (entry.path, entry.node.mode) == (b"", S_IFDIR | 0o700)


def test_a_directory_of_v7_is_told_by_its_slash():
    entry = scan_one(member(b"dir/", kind=b"\0", magic=V7))
    assert (entry.path, entry.node.is_dir) == (b"dir", True)


def test_the_final_name_tells_a_v7_directory_not_the_one_in_the_header():
    entry = scan_one(
        long_name(b"n" * 99 + b"/file"), member(b"n" * 99 + b"/", b"x", b"\0", magic=GNU)
    )
    assert (entry.path, entry.node.is_dir) == (b"n" * 99 + b"/file", False)


def test_symbolic_links_keep_their_target_as_it_stands():
    node = scan_one(member(b"l", kind=b"2", link=b"../../a//b/")).node
    assert (node.target, node.size) == (b"../../a//b/", 0)


def test_symbolic_links_have_the_permissions_that_linux_gives_them():
    """symlink(7): on Linux, the permissions of a symbolic link are not used, always 0777."""
    assert scan_one(member(b"l", kind=b"2", link=b"a", mode=0o644)).node.mode == S_IFLNK | 0o777


def test_hard_links():
    entry = scan_one(member(b"./l", kind=b"1", link=b"/a//./b"))
    assert isinstance(entry, Link)
    assert (entry.path, entry.target) == (b"l", b"a/b")


def test_devices_and_fifos():
    char, block, fifo = scan(
        member(b"c", kind=b"3", major=1, minor=3),
        member(b"b", kind=b"4", major=259, minor=70000),
        member(b"p", kind=b"6"),
    )
    assert (char.node.mode, char.node.rdev) == (S_IFCHR | 0o644, os.makedev(1, 3))
    assert (block.node.mode, block.node.rdev) == (S_IFBLK | 0o644, os.makedev(259, 70000))
    assert (fifo.node.mode, fifo.node.rdev) == (S_IFIFO | 0o644, 0)


def test_device_numbers_of_star():
    entry = scan_one(
        pax((b"SCHILY.devmajor", b"8"), (b"SCHILY.devminor", b"1048575")), member(kind=b"4")
    )
    assert entry.node.rdev == os.makedev(8, 1048575)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"/etc/passwd", b"etc/passwd"),
        (b"././a//b/./c", b"a/b/c"),
        (b".hidden", b".hidden"),
        (b"a/.b/..c/...", b"a/.b/..c/..."),
        (b"\xff\xfe caf\xe9", b"\xff\xfe caf\xe9"),
    ],
)
def test_names_are_normalised(name, path):
    assert scan_one(member(name)).path == path


def test_the_prefix_of_ustar():
    assert scan_one(member(b"name", prefix=b"some/dir")).path == b"some/dir/name"
    assert scan_one(member(b"n" * 100, prefix=b"p" * 155)).path == b"p" * 155 + b"/" + b"n" * 100


def test_the_prefix_of_star_is_shorter():
    tail = b"p" * 131 + b"00000000001 00000000002 ".ljust(32, b"\0") + b"tar\0"
    assert scan_one(member(b"n", tail=tail)).path == b"p" * 131 + b"/n"


@pytest.mark.parametrize("magic", [GNU, V7])
def test_gnu_and_v7_have_no_prefix(magic):
    assert scan_one(member(b"name", magic=magic, tail=b"0" * 24)).path == b"name"


def test_long_names_and_links_of_gnu():
    name, link = b"n" * 120, b"l/" * 100 + b"x"
    entry = scan_one(
        long_name(link, b"K"), long_name(name), member(name[:100], kind=b"2", link=b"x", magic=GNU)
    )
    assert (entry.path, entry.node.target) == (name, link)


def test_a_long_name_holds_for_one_member():
    one, two = scan(long_name(b"n" * 120), member(b"n", magic=GNU), member(b"two", magic=GNU))
    assert (one.path, two.path) == (b"n" * 120, b"two")


def base256(number, width):
    lead = 0x80 if number >= 0 else 0xFF
    return bytes([lead]) + number.to_bytes(width - 1, "big", signed=number < 0)


def test_base_256_numbers():
    entry = scan_one(
        header(
            uid_field=base256(2**32 - 2, 8),
            gid_field=base256(3_000_000_000, 8),
            mtime_field=base256(-5, 12),
            magic=GNU,
        )
    )
    assert (entry.node.uid, entry.node.gid) == (2**32 - 2, 3_000_000_000)
    assert entry.node.mtime_ns == -5_000_000_000


def test_a_size_beyond_octal_is_believed_to_the_last_byte():
    scanner = TarScanner(SOURCE)
    size = 2**63 - 1
    (entry,) = scanner.feed(header(size_field=base256(size, 12), magic=GNU))
    assert entry.node.size == size
    with pytest.raises(InvalidLayerError, match="cut short"):
        scanner.close()


@pytest.mark.parametrize(
    "field", [b"   644 \0", b"0000644\0", b"00000644", b"644\0\0\0\0\0", b"   644"]
)
def test_octal_fields_of_all_tars(field):
    assert scan_one(header(mode_field=field)).node.mode == S_IFREG | 0o644


@pytest.mark.parametrize("field", [b"", b"       \0", b"        "])
def test_an_empty_field_is_zero(field):
    assert scan_one(header(uid_field=field, mtime_field=field)).node.uid == 0


def test_a_checksum_over_signed_bytes_is_known():
    block = header(b"caf\xe9")
    unsigned = int(block[148:154], 8)
    signed = b"%06o\0 " % (unsigned - 256)
    assert scan_one(header(b"caf\xe9", checksum_field=signed)).path == b"caf\xe9"


def test_checksums_with_other_blanks():
    field = header()[148:154].lstrip(b"0").rjust(6)
    assert scan_one(header(checksum_field=field + b" \0")).path == b"file"


def test_a_checksum_of_many_high_bytes():
    name, link, prefix = b"\xff" * 100, b"\xff" * 100, b"\xff" * 155
    limits_do_not_matter = scan_one(header(name, b"2", link=link, prefix=prefix))
    assert limits_do_not_matter.node.target == link


def test_the_data_may_hold_what_looks_like_a_member():
    (entry,) = scan(member(b"outer", member(b"inner", b"x") + END))
    assert entry.path == b"outer"


def test_an_empty_stream_is_an_empty_archive():
    assert scan(end=b"") == []
    assert scan() == []


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(700), bytes(1024), bytes(10240)])
def test_the_end_may_be_short(end):
    (entry,) = scan(member(b"f", b"x"), end=end)
    assert entry.path == b"f"


def test_what_follows_the_end_is_counted():
    scanner = TarScanner(SOURCE)
    stream = member(b"f", b"x") + END + b"garbage" * 1000
    assert len(scanner.feed(stream)) == 1
    assert scanner.feed(b"more") == []
    assert scanner.close() == []
    assert scanner.size == len(stream) + 4


def test_chunks_may_be_views():
    scanner = TarScanner(SOURCE)
    (entry,) = scanner.feed(memoryview(bytearray(member(b"f", b"x") + END)))
    assert isinstance(entry, Put)
    assert type(entry.path) is bytes


def test_entries_come_with_the_last_byte_of_their_header():
    scanner = TarScanner(SOURCE)
    block = header(b"f", size=5)
    assert scanner.feed(block[:511]) == []
    assert [entry.path for entry in scanner.feed(block[511:])] == [b"f"]


def test_a_volume_label_is_passed_over():
    assert [entry.path for entry in scan(member(b"label", kind=b"V", magic=GNU), member(b"f"))] == [
        b"f"
    ]


def test_without_a_source_nodes_name_none():
    assert scan_one(member(b"f", b"x"), source=None).node.source is None
