import os

import pytest

from orlop.digest import Digest
from orlop.errors import InvalidLayerError
from orlop.tree import ChangesetEncoder, EncodedChangeset, Link, Node, Opaque, Put, Whiteout
from orlop.tree.node import S_IFCHR, S_IFLNK, S_IFREG

LAYER = Digest.of(b"layer")

ENTRIES = [
    Put(b"f", Node(S_IFREG | 0o644, 1, 2**32 - 2, -5, 2**40, source=LAYER, offset=2**41)),
    Whiteout(b"gone"),
    Link(b"g", b"f"),
    Put(b"l", Node(S_IFLNK | 0o777, target=b"to\xff")),
    Opaque(b""),
    Put(b"c", Node(S_IFCHR | 0o600, rdev=os.makedev(4095, 2**20 - 1))),
    Put(b"s", Node(S_IFREG, size=9, source=LAYER, segments=((1, 2), (5, 3)), xattrs={b"u": b"v"})),
    Put(b"hole", Node(S_IFREG, size=2**50, segments=())),
]


def encoded(entries=ENTRIES):
    encoder = ChangesetEncoder()
    encoder.add(entries)
    return encoder.encode()


def facts(entry):
    if isinstance(entry, Put):
        node = entry.node
        return (entry.path, *(getattr(node, name) for name in Node.__slots__ if name != "children"))
    return (type(entry), entry.path, getattr(entry, "target", None))


def test_round_trip_with_removals_first():
    changeset = EncodedChangeset(encoded(), LAYER)
    assert len(changeset) == len(ENTRIES)
    additions = [entry for entry in ENTRIES if isinstance(entry, (Put, Link))]
    removals = [entry for entry in ENTRIES if not isinstance(entry, (Put, Link))]
    assert list(map(facts, changeset.additions())) == list(map(facts, additions))
    assert list(map(facts, changeset.removals())) == list(map(facts, removals))
    assert list(map(facts, changeset.entries())) == list(map(facts, removals + additions))


def test_the_bytes_do_not_change():
    """A change of these bytes needs a new version: stores keep them."""
    assert Digest.of(encoded()) == (
        "sha256:4a0c47e8f4d6cbc3fdec3b2fb2e3762e521cf951f6094df3a61977e52bf53646"
    )


def test_empty():
    changeset = EncodedChangeset(encoded([]), LAYER)
    assert list(changeset.entries()) == []


@pytest.mark.parametrize("at", [0, 8, 12, 16, 24, 40, 64, 200, -1])
def test_any_flipped_byte_is_found(at):
    data = bytearray(encoded())
    data[at] ^= 1
    with pytest.raises(InvalidLayerError):
        EncodedChangeset(bytes(data), LAYER)


@pytest.mark.parametrize("length", [0, 10, 63, 64, 100, -1])
def test_cut_short_is_found(length):
    with pytest.raises(InvalidLayerError):
        EncodedChangeset(encoded()[:length], LAYER)


def test_owners_are_those_of_what_is_added():
    assert EncodedChangeset(encoded(), LAYER).owners() == ([0, 1], [0, 2**32 - 2])
    assert EncodedChangeset(encoded([Whiteout(b"gone")]), LAYER).owners() == ([], [])
