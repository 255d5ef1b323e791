import os

from orlop.digest import Digest
from orlop.tree import Link, Node, Put, dump, iter_differences, merge
from orlop.tree.node import S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG

LAYER = Digest.of(b"layer")


def tree():
    return merge(
        [
            Put(b"", Node(S_IFDIR | 0o755, mtime_ns=1_500_000_000)),
            Put(b"dev/null", Node(S_IFCHR | 0o666, rdev=os.makedev(1, 3))),
            Put(b"a b\xff", Node(S_IFREG | 0o4755, 1, 2, -1, 5, source=LAYER, offset=512)),
            Link(b"b", b"a b\xff"),
            Put(b"l", Node(S_IFLNK | 0o777, target=b"x\\y")),
            Put(b"s", Node(S_IFREG | 0o600, size=99, source=LAYER, segments=((5, 6), (90, 1)))),
            Put(b"x", Node(S_IFREG, xattrs={b"user.b": b"\0", b"user.a": b""})),
        ]
    )


def test_golden():
    assert dump(tree(), data=True) == (
        "/ d 0755 0:0 1.500000000\n"
        "/a\\x20b\\xff f 4755 1:2 5 -1.999999999 links=2 @512\n"
        "/b = /a\\x20b\\xff\n"
        "/dev d 0755 0:0 0.000000000\n"
        "/dev/null c 0666 0:0 0.000000000 dev=1:3\n"
        "/l l 0777 0:0 0.000000000 -> x\\x5cy\n"
        "/s f 0600 0:0 99 0.000000000 stored=5+6,90+1 @0\n"
        "/x f 0000 0:0 0 0.000000000 xattr:user.a= xattr:user.b=00\n"
    )


def test_equal_trees_have_no_differences():
    assert list(iter_differences(tree(), tree())) == []


def test_each_difference_is_told():
    other = tree()
    del other.children[b"l"]
    other.children[b"x"].uid = 9
    assert list(iter_differences(tree(), other)) == [
        "- /l l 0777 0:0 0.000000000 -> x\\x5cy",
        "- /x f 0000 0:0 0 0.000000000 xattr:user.a= xattr:user.b=00",
        "+ /x f 0000 9:0 0 0.000000000 xattr:user.a= xattr:user.b=00",
    ]


def test_a_split_hard_link_is_a_difference():
    other = tree()
    other.children[b"b"] = Node(S_IFREG | 0o4755, 1, 2, -1, 5, source=LAYER, offset=512)
    assert len(list(iter_differences(tree(), other))) == 4
