import pytest

from orlop.errors import InvalidLayerError
from orlop.tree import Opaque, Put, Whiteout
from support.tar_members import member, pax, scan, scan_one


@pytest.mark.parametrize(
    ("name", "path"), [(b".wh.a", b"a"), (b"./d/.wh.a", b"d/a"), (b"/d/.wh..a", b"d/.a")]
)
def test_explicit_whiteouts(name, path):
    entry = scan_one(member(name))
    assert isinstance(entry, Whiteout)
    assert entry.path == path


@pytest.mark.parametrize(("name", "path"), [(b".wh..wh..opq", b""), (b"a/b/.wh..wh..opq", b"a/b")])
def test_opaque_whiteouts(name, path):
    entry = scan_one(member(name))
    assert isinstance(entry, Opaque)
    assert entry.path == path


@pytest.mark.parametrize("kind", [b"0", b"\0", b"1", b"2", b"3", b"5", b"6"])
def test_markers_of_every_type(kind):
    entry = scan_one(member(b"d/.wh.a", kind=kind, link=b".wh..wh.plnk/1"))
    assert isinstance(entry, Whiteout)


def test_a_marker_that_looks_like_a_directory():
    assert isinstance(scan_one(member(b"d/.wh.a/", kind=b"5")), Whiteout)


def test_the_data_of_a_marker_are_passed_over():
    marker, file = scan(member(b".wh.a", b"x" * 600), member(b"f"))
    assert isinstance(marker, Whiteout)
    assert file.path == b"f"


def test_a_marker_in_a_record():
    assert isinstance(scan_one(pax((b"path", b"d/.wh.a")), member()), Whiteout)


@pytest.mark.parametrize("name", [b".wh.", b"d/.wh.", b".wh..", b"d/.wh...", b".wh./"])
def test_whiteouts_of_nothing(name):
    with pytest.raises(InvalidLayerError, match="names no file"):
        scan(member(name, kind=b"5"))


@pytest.mark.parametrize("name", [b".wh.x/file", b"a.wh.b", b"a/.wh..wh..opq/b", b".wh"])
def test_names_that_are_no_markers(name):
    entry = scan_one(member(name))
    assert isinstance(entry, Put)
    assert entry.path == name


def test_the_marks_of_aufs_hide_a_name_that_no_layer_has():
    entry = scan_one(member(b".wh..wh.plnk", kind=b"5"))
    assert isinstance(entry, Whiteout)
    assert entry.path == b".wh.plnk"


@pytest.mark.parametrize("name", [b".wh.a", b".wh..wh..opq", b".wh."])
def test_markers_are_names_where_asked(name):
    entry = scan_one(member(name), whiteouts=False)
    assert isinstance(entry, Put)
    assert entry.path == name
