import os

from orlop._sys.xattr import set_xattr_at, xattrs_at


def test_a_links_own_attributes_are_meant(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        set_xattr_at(fd, b"link", b"trusted.note", b"\0value")
        assert xattrs_at(fd, b"link") == {b"trusted.note": b"\0value"}
        assert xattrs_at(fd, b"file") == {}
    finally:
        os.close(fd)
