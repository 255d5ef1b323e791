import pytest

from orlop.tar.acl import decode_permissions, is_trivial
from orlop.tree.node import S_IFREG
from support.tar_members import member, pax, record, scan_one

OWNER, USER, GROUP, MASK, OTHERS = 1, 2, 4, 16, 32
ANYBODY = 0xFFFFFFFF


def acl(*entries, version=2):
    packed = [
        tag.to_bytes(2, "little")
        + permissions.to_bytes(2, "little")
        + (7 if tag == USER else ANYBODY).to_bytes(4, "little")
        for tag, permissions in entries
    ]
    return version.to_bytes(4, "little") + b"".join(packed)


TRIVIAL = acl((OWNER, 7), (GROUP, 5), (OTHERS, 1))
NAMED = acl((OWNER, 6), (USER, 7), (GROUP, 0), (MASK, 4), (OTHERS, 2))


@pytest.mark.parametrize(("value", "permissions"), [(TRIVIAL, 0o751), (NAMED, 0o642)])
def test_permissions(value, permissions):
    """acl(5): with a mask, the group permission bits are those of the mask."""
    assert decode_permissions(value) == permissions


@pytest.mark.parametrize(
    "value",
    [b"", b"\2\0\0\0", TRIVIAL[:-1], acl((OWNER, 7), (GROUP, 5)), acl((OWNER, 7), version=1)],
)
def test_what_is_no_list(value):
    assert decode_permissions(value) is None


def test_triviality():
    assert is_trivial(TRIVIAL)
    assert not is_trivial(NAMED)


def scan_with(value):
    header = pax(record(b"SCHILY.xattr.system.posix_acl_access", value))
    return scan_one(header + member(b"f", mode=0o4600)).node


def test_a_member_has_the_permissions_of_its_list():
    node = scan_with(NAMED)
    assert node.mode == S_IFREG | 0o4642
    assert node.xattrs == {b"system.posix_acl_access": NAMED}


def test_a_trivial_list_becomes_permissions():
    node = scan_with(TRIVIAL)
    assert node.mode == S_IFREG | 0o4751
    assert node.xattrs == {}


def test_a_broken_list_stays_as_it_is():
    node = scan_with(b"nonsense")
    assert node.mode == S_IFREG | 0o4600
    assert node.xattrs == {b"system.posix_acl_access": b"nonsense"}
