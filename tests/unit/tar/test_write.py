import os

import pytest

from orlop.errors import LimitExceededError, UnsupportedError
from orlop.tar import END_OF_ARCHIVE, TarLimits, encode_entry, padding
from orlop.tree import Link, Node, Opaque, Put, Whiteout, directory
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK
from support.tar_members import header, pax, scan_one

NS = 10**9


def regular(**fields):
    return Node(S_IFREG | 0o644, **fields)


def encode(path, node=None, **options):
    return encode_entry(Put(path, node or regular()), **options)


def records(data):
    """The records of the extended header that an encoded entry begins with, as text."""
    assert data[156:157] == b"x"
    size = int(data[124:135], 8)
    return data[512 : 512 + size]


def test_an_ordinary_file_is_one_plain_block():
    node = Node(S_IFREG | 0o4755, 1000, 100, 1_700_000_000 * NS, 77)
    assert encode(b"usr/bin/x", node) == header(
        b"usr/bin/x", size=77, mode=0o4755, uid=1000, gid=100, mtime=1_700_000_000
    )


def test_directories_end_in_a_slash():
    assert encode(b"", directory(0o711)) == header(b"./", b"5", mode=0o711)
    assert encode(b"a/b", directory(0o1777)) == header(b"a/b/", b"5", mode=0o1777)


def test_links_and_devices():
    link = Node(S_IFLNK | 0o777, target=b"../x")
    assert encode(b"l", link) == header(b"l", b"2", mode=0o777, link=b"../x")
    null = Node(S_IFCHR | 0o666, rdev=os.makedev(1, 3))
    assert encode(b"null", null) == header(b"null", b"3", mode=0o666, major=1, minor=3)
    large = Node(S_IFBLK | 0o600, rdev=os.makedev(4095, 1_048_575))
    assert encode(b"d", large) == header(b"d", b"4", mode=0o600, major=4095, minor=1_048_575)


def test_a_hard_link_says_what_its_inode_is_but_no_size():
    """Readers that are common apply the header of a hard link to the inode."""
    node = Node(S_IFREG | 0o600, 5, 6, 7 * NS, 8, xattrs={b"user.a": b"b"})
    assert encode_entry(Link(b"b", b"d/a"), inode=node) == (
        encode_entry(Put(b"b", node))[:1024]
        + header(b"b", b"1", 0, mode=0o600, uid=5, gid=6, mtime=7, link=b"d/a")
    )


def test_whiteouts_are_empty_files():
    assert encode_entry(Whiteout(b"a")) == header(b".wh.a", mode=0o600)
    assert encode_entry(Whiteout(b"d/a")) == header(b"d/.wh.a", mode=0o600)
    assert encode_entry(Opaque(b"d")) == header(b"d/.wh..wh..opq", mode=0o600)
    assert encode_entry(Opaque(b"")) == header(b".wh..wh..opq", mode=0o600)


def test_a_prefix_is_used_where_the_name_can_be_parted():
    assert len(encode(b"n" * 100)) == 512
    parted = encode(b"d" * 155 + b"/" + b"n" * 100)
    assert parted == header(b"n" * 100, prefix=b"d" * 155)
    assert len(encode(b"d" * 156 + b"/" + b"n" * 99)) == 512 * 3
    assert len(encode(b"n" * 101)) == 512 * 3
    assert encode(b"a/" + b"d" * 99, directory()) == header(
        b"d" * 99 + b"/", b"5", mode=0o755, prefix=b"a"
    )
    assert len(encode(b"d" * 100, directory())) == 512 * 3, "a slash that ends is no place to part"


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (regular(size=(8 << 30) - 1), None),
        (regular(size=8 << 30), b"19 size=8589934592\n"),
        (regular(uid=2_097_151, gid=2_097_151), None),
        (regular(uid=2_097_152), b"15 uid=2097152\n"),
        (regular(gid=2**32 - 2), b"18 gid=4294967294\n"),
        (regular(mtime_ns=(8**11 - 1) * NS), None),
        (regular(mtime_ns=8**11 * NS), b"20 mtime=8589934592\n"),
        (regular(mtime_ns=1_500_000_000), b"21 mtime=1.500000000\n"),
        (regular(mtime_ns=-1), b"22 mtime=-0.000000001\n"),
        (regular(mtime_ns=-2 * NS), b"12 mtime=-2\n"),
        (regular(xattrs={b"user.b": b"\0\n=", b"user.a": b""}),
         b"24 SCHILY.xattr.user.a=\n27 SCHILY.xattr.user.b=\0\n=\n"),
        (regular(xattrs={b"user.a=%": b"\0"}), b"38 LIBARCHIVE.xattr.user.a%3D%25=AA==\n"),
    ],
    ids=repr,
)  # fmt: skip
def test_only_what_ustar_cannot_say_is_in_an_extended_header(node, expected):
    data = encode(b"f", node)
    assert len(data) == (512 if expected is None else 512 * 3)
    if expected is not None:
        assert records(data) == expected


def test_names_beyond_ascii():
    """POSIX has records in UTF-8; other names are bytes, in the field or in a BINARY record."""
    assert records(encode("caf\xe9".encode())) == b"14 path=caf\xc3\xa9\n"
    assert encode(b"caf\xe9") == header(b"caf\xe9")
    long = b"\xe9" * 200
    assert records(encode(long)) == b"21 hdrcharset=BINARY\n210 path=" + long + b"\n"
    link = Node(S_IFLNK | 0o777, target=long)
    assert records(encode(b"l", link)).startswith(b"21 hdrcharset=BINARY\n214 linkpath=\xe9")


def test_the_length_of_a_record_counts_itself():
    for size in range(80, 120):
        value = b"v" * size
        data = encode(b"f", regular(xattrs={b"user.a": value}))
        body = records(data)
        assert int(body.split(b" ")[0]) == len(body)
        assert data.startswith(pax((b"SCHILY.xattr.user.a", value))[512 : 512 + len(body)], 512)


def test_what_lies_where_in_the_layer_below_does_not_matter():
    sparse = regular(size=100)
    sparse.segments = ((10, 20),)
    assert encode(b"f", sparse) == encode(b"f", regular(size=100))


def test_padding_and_end():
    assert [len(padding(size)) for size in (0, 1, 511, 512, 513)] == [0, 511, 1, 0, 511]
    assert bytes(1024) == END_OF_ARCHIVE


def test_what_tar_has_no_type_for():
    with pytest.raises(UnsupportedError, match="'run/x' is a socket"):
        encode(b"run/x", Node(S_IFSOCK | 0o700))
    with pytest.raises(UnsupportedError, match="no device 4096:0"):
        encode(b"x", Node(S_IFCHR, rdev=os.makedev(4096, 0)))


@pytest.mark.parametrize("name", [b".wh.x", b"d/.wh.x", b"d/.wh..wh..opq", b".wh."])
def test_names_of_whiteouts_are_only_names_where_nobody_takes_them_for_more(name):
    for entry in (Put(name, regular()), Put(name, directory()), Link(name, b"a")):
        inode = regular() if isinstance(entry, Link) else None
        with pytest.raises(UnsupportedError, match="taken for a whiteout"):
            encode_entry(entry, inode=inode)
        data = encode_entry(entry, inode=inode, whiteouts=False)
        assert scan_one(data, whiteouts=False).path == name
    with pytest.raises(ValueError, match="without whiteouts"):
        encode_entry(Whiteout(b"a"), whiteouts=False)


def test_the_longest_names_can_be_removed():
    for name in (b"n" * 252, b"n" * 255, b"d/" + b"\xff" * 255):
        assert scan_one(encode_entry(Whiteout(name))).path == name
    # It is longer than any name only where it is no name.
    with pytest.raises(LimitExceededError, match="max_name_size"):
        scan_one(encode_entry(Whiteout(b"n" * 255)), whiteouts=False)


@pytest.mark.parametrize(
    ("entry", "limit"),
    [
        (Put(b"n" * 256, regular()), "max_name_size"),
        (Whiteout(b"n" * 256), "max_name_size"),
        (Put(b"/".join([b"n" * 255] * 17), regular()), "max_path_size"),
        (Put(b"l", Node(S_IFLNK | 0o777, target=b"t" * 4096)), "max_path_size"),
        (Put(b"f", regular(xattrs={b"user." + b"n" * 251: b""})), "max_xattr_name_size"),
        (Put(b"f", regular(xattrs={b"user.a": bytes(65537)})), "max_xattr_value_size"),
        (Put(b"f", regular(xattrs={b"user.%05d" % n: b"" for n in range(6000)})),
         "max_xattr_list_size"),
        (Put(b"f", regular(xattrs={b"user.%d" % n: bytes(65536) for n in range(16)})),
         "max_header_size"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_nothing_is_written_that_could_not_be_read_again(entry, limit):
    with pytest.raises(LimitExceededError, match=rf"limit {limit} = \d") as caught:
        encode_entry(entry)
    assert caught.value.value == getattr(TarLimits(), limit)
    with pytest.raises(LimitExceededError, match="max_path_size = 2"):
        encode(b"abc", limits=TarLimits(max_path_size=2))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Put(b"", regular()), "root is not a directory"),
        (Put(b"l", Node(S_IFLNK | 0o777)), "without a target"),
        (Put(b"x", Node(S_IFMT | 0o644)), "no inode"),
        (Put(b"a/../b", regular()), "has '..' in it"),
        (Put(b"a//b", regular()), "not normalised"),
        (Put(b"/a", regular()), "not normalised"),
        (Put(b"a\0", regular()), "NUL"),
        (Link(b"a", b"b"), "names no inode"),
        (Whiteout(b""), "cannot be removed"),
    ],
)
def test_what_is_no_entry(entry, message):
    with pytest.raises(ValueError, match=message):
        encode_entry(entry)


def test_a_hard_link_of_a_directory():
    with pytest.raises(ValueError, match="names no inode"):
        encode_entry(Link(b"a", b"b"), inode=directory())
