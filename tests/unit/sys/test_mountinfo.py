import os

import pytest

from orlop._sys.handle import Fd
from orlop._sys.mountinfo import iter_mounts, mount_at, mount_identity, parse_mountinfo

LINE = rb"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"


def test_every_field():
    info = parse_mountinfo(LINE)
    assert (info.mount_id, info.parent_id, info.device) == (36, 35, (98, 0))
    assert (info.root, info.mount_point) == (b"/mnt1", b"/mnt2")
    assert info.options == ("rw", "noatime")
    assert (info.fstype, info.source) == ("ext3", b"/dev/root")
    assert info.super_options == b"rw,errors=continue"


@pytest.mark.parametrize("optional", [b"", b"shared:1 ", b"shared:1 master:2 propagate_from:3 "])
def test_any_number_of_optional_fields(optional):
    info = parse_mountinfo(b"1 2 0:3 / /x rw " + optional + b"- tmpfs - rw")
    assert (info.fstype, info.source) == ("tmpfs", b"-")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (rb"/a\040b", b"/a b"),
        (rb"/tab\011", b"/tab\t"),
        (rb"/line\012", b"/line\n"),
        (rb"/back\134slash", b"/back\\slash"),
        (rb"/back\134040", b"/back\\040"),
        (rb"/hash\043", b"/hash#"),
        (b"/\xc3\xbc\xff", b"/\xc3\xbc\xff"),
    ],
)
def test_octal_escapes(written, meant):
    info = parse_mountinfo(
        b"1 2 0:3 " + written + b" " + written + b" rw - tmpfs " + written + b" rw"
    )
    assert (info.root, info.mount_point, info.source) == (meant, meant, meant)


def test_a_mount_point_that_is_called_dash():
    info = parse_mountinfo(b"1 2 0:3 - - rw - tmpfs - -")
    assert (info.root, info.mount_point, info.fstype) == (b"-", b"-", "tmpfs")


@pytest.mark.parametrize("line", [b"", b"36 35 98:0 / / rw", LINE[:40], b"x" + LINE])
def test_another_shape_is_refused(line):
    with pytest.raises(ValueError):
        parse_mountinfo(line)


def test_this_process_sees_its_mounts():
    points = [info.mount_point for info in iter_mounts()]
    assert b"/proc" in points


def test_where_something_is_mounted_and_where_not(tmp_path):
    assert mount_at("/proc").fstype == "proc"
    assert mount_at(tmp_path) is None
    assert mount_identity("/proc").is_root
    assert not mount_identity(tmp_path).is_root
    assert mount_identity("/proc/self").mount_id == mount_identity("/proc").mount_id
    assert mount_identity(tmp_path).mount_id != mount_identity("/proc").mount_id


def test_a_link_is_not_followed_and_an_open_file_will_do(tmp_path):
    (tmp_path / "link").symlink_to("/proc")
    assert not mount_identity(tmp_path / "link").is_root
    assert mount_at(tmp_path / "link") is None
    with Fd(os.open("/proc", os.O_PATH)) as fd:
        assert mount_identity(fd) == mount_identity("/proc")


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        mount_identity(tmp_path / "none")
    assert caught.value.filename == str(tmp_path / "none")


def test_only_mounts_that_name_something(tmp_path):
    """A name that is written otherwise in the list is looked for in all of them."""
    lines = [
        rb"36 35 98:0 / /mnt/one\040two rw - ext3 /dev/root rw",
        rb"37 35 98:1 / /mnt/other rw - overlay overlay rw,upperdir=/store/layers/one/diff",
        rb"38 35 98:2 / /mnt/third rw - tmpfs none rw",
    ]
    (tmp_path / "mountinfo").write_bytes(b"\n".join(lines) + b"\n")

    def ids(naming):
        return [each.mount_id for each in iter_mounts(str(tmp_path / "mountinfo"), naming=naming)]

    assert ids(b"") == [36, 37, 38]
    assert ids(b"layers/one/") == [37]
    assert ids(b"nothing") == []
    assert ids(b"one two") == [36, 37, 38]
    assert ids(b"\\") == ids(b"#") == [36, 37, 38]


def test_a_carriage_return_in_a_name(tmp_path):
    """The kernel writes it as it is."""
    line = b"36 35 98:0 / /mnt/a\rb rw - ext3 /dev/root rw\n"
    (tmp_path / "mountinfo").write_bytes(line * 2)
    points = [each.mount_point for each in iter_mounts(str(tmp_path / "mountinfo"))]
    assert points == [b"/mnt/a\rb"] * 2
