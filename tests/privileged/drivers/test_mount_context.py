import errno
import os

import pytest

from orlop._sys.mount import (
    MAX_STRING,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_RDONLY,
    FsContext,
    clone_tree,
    set_attributes,
)


def test_a_tmpfs_is_made_and_ends_with_its_descriptor():
    with FsContext("tmpfs") as context:
        context.string("mode", "0711")
        context.flag("noswap")
        context.create()
        mount = context.mount(MOUNT_ATTR_NODEV)
    with mount:
        assert os.fstat(mount.fileno()).st_mode & 0o7777 == 0o711
        assert os.fstatvfs(mount.fileno()).f_flag & os.ST_NODEV


def test_an_unknown_filesystem():
    with pytest.raises(OSError, match="fsopen") as caught:
        FsContext("nosuchfs")
    assert (caught.value.errno, caught.value.filename) == (errno.ENODEV, "nosuchfs")


def test_the_kernel_says_what_is_wrong_with_an_option():
    with FsContext("tmpfs") as context:
        with pytest.raises(OSError, match=r"tmpfs: fsconfig: .*Unknown parameter 'nonsense'"):
            context.flag("nonsense")
        with pytest.raises(OSError, match="Bad value") as caught:
            context.string("mode", "rwx")
        assert caught.value.filename == "rwx"
        assert context.log() == ""


def test_a_string_has_a_limit_that_is_named():
    with FsContext("overlay") as context:
        context.string("source", "x" * MAX_STRING)
        with pytest.raises(OSError, match=f"lowerdir is over {MAX_STRING} bytes") as caught:
            context.string("lowerdir", "x" * (MAX_STRING + 1))
        assert caught.value.errno == errno.EINVAL


def test_a_mount_before_the_filesystem_is_made():
    with FsContext("tmpfs") as context, pytest.raises(OSError, match="tmpfs: fsmount") as caught:
        context.mount(0)
    assert caught.value.errno == errno.EINVAL


def test_an_option_may_be_an_open_directory(tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    fd = os.open(first, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with FsContext("overlay") as context:
            try:
                context.fd("lowerdir+", fd)
            except OSError as error:
                pytest.skip(f"this kernel takes no handles: {error}")
            (first / "file").write_text("")
            (tmp_path / "other").mkdir()
            context.string("lowerdir+", str(tmp_path / "other"))
            context.create()
            with context.mount(0) as mount:
                assert "file" in os.listdir(f"/proc/self/fd/{mount.fileno()}")
    finally:
        os.close(fd)


def test_attributes_of_a_clone_are_its_own(tmp_path):
    (tmp_path / "file").write_text("")
    with clone_tree(tmp_path) as mount:
        set_attributes(mount, MOUNT_ATTR_RDONLY)
        with pytest.raises(OSError) as caught:
            os.open("file", os.O_WRONLY, dir_fd=mount.fileno())
        assert caught.value.errno == errno.EROFS
    (tmp_path / "file").write_text("still writable")


def test_a_clone_of_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="open_tree") as caught:
        clone_tree(tmp_path / "none")
    assert caught.value.filename == str(tmp_path / "none")
