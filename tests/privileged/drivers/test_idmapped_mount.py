import errno
import os
import subprocess
from io import BytesIO

import pytest

from orlop._sys.handle import Fd
from orlop._sys.userns import UserNamespaces
from orlop.drivers import mount_erofs, mount_idmapped, mount_overlay, unmount
from orlop.errors import IdMapRefusedError, UnsupportedError
from orlop.fsimage.erofs import write_index
from orlop.idmap import IdMapping, translate
from orlop.tree import Node, directory
from orlop.tree.node import S_IFREG
from support.nobody import as_nobody

SHIFTED = IdMapping.parse(["0:100000:65536"])
NOBODY = 65534


def owner(path):
    found = os.lstat(path)
    return found.st_uid, found.st_gid


@pytest.fixture
def files(tmp_path):
    """A directory with files of 0:0, 1:2, and of an owner that is not mapped."""
    path = tmp_path / "files"
    path.mkdir()
    for name, uid, gid in (("root", 0, 0), ("user", 1, 2), ("far", 70_000, 70_000)):
        (path / name).write_text(name)
        os.chown(path / name, uid, gid)
    return path


@pytest.fixture
def writable(tmp_path):
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, 100_000, 100_000)
    return {"upper": tmp_path / "upper", "work": tmp_path / "work"}


@pytest.fixture
def erofs(tmp_path):
    """An EROFS image of a directory of 3:4 with a file of 1:2."""
    root = directory(0o755, 3, 4)
    root.children[b"user"] = Node(S_IFREG | 0o600, 1, 2)
    output = BytesIO()
    write_index(root, [], output, uuid=bytes(16))
    path = tmp_path / "image.erofs"
    path.write_bytes(output.getvalue())
    with mount_erofs(path) as mount:
        yield mount


def test_owners_on_disk_are_shown_as_others(files):
    with mount_idmapped(files, SHIFTED) as mount:
        assert owner(mount.path / "root") == (100_000, 100_000)
        assert owner(mount.path / "user") == (100_001, 100_002)
        assert owner(mount.path / "far") == (NOBODY, NOBODY)
        assert (mount.path / "user").read_text() == "user"
    assert owner(files / "user") == (1, 2)


def test_what_is_written_through_it_has_the_owner_on_disk(files):
    with mount_idmapped(files, SHIFTED) as mount:
        os.chown(mount.path / "root", 100_007, 100_008)
        with pytest.raises(OSError) as caught:
            os.chown(mount.path / "root", 7, 8)
        assert caught.value.errno in {errno.EOVERFLOW, errno.EINVAL}
    assert owner(files / "root") == (7, 8)


def test_one_containers_files_are_shown_as_anothers(files):
    stored = IdMapping.parse(["0:1:1", "1:70000:10"], ["0:2:1", "1:70000:10"])
    with mount_idmapped(files, translate(stored, SHIFTED)) as mount:
        assert owner(mount.path / "user") == (100_000, 100_000)
        assert owner(mount.path / "far") == (100_001, 100_001)
        assert owner(mount.path / "root") == (NOBODY, NOBODY)


def test_an_open_directory(files):
    with (
        Fd(os.open(files, os.O_PATH | os.O_DIRECTORY)) as handle,
        mount_idmapped(handle, SHIFTED) as mount,
    ):
        assert owner(mount.path / "user") == (100_001, 100_002)


def test_an_erofs_image_that_is_mounted_nowhere(erofs):
    with mount_idmapped(erofs, SHIFTED) as mount:
        found = os.fstat(mount.fileno())
        assert (found.st_uid, found.st_gid) == (100_003, 100_004)
        assert owner(mount.path / "user") == (100_001, 100_002)
        assert os.fstatvfs(mount.fileno()).f_flag & os.ST_RDONLY
    assert owner(erofs.path / "user") == (1, 2)


@pytest.mark.parametrize("classic", [False, True])
def test_an_overlay_of_mapped_layers(erofs, files, writable, target, classic):
    """The kernel, overlayfs.rst: layers may be id-mapped mounts; the upper keeps what is shown."""
    with (
        UserNamespaces() as namespaces,
        mount_idmapped(files, SHIFTED, namespaces=namespaces) as top,
        mount_idmapped(erofs, SHIFTED, namespaces=namespaces) as bottom,
    ):
        mount = mount_overlay([top, bottom], target, **writable, nosuid=False, classic=classic)
    try:
        assert owner(target / "root") == (100_000, 100_000)
        assert owner(target / "user") == (100_001, 100_002)
        (target / "user").write_text("changed")
        (target / "new").touch()
        os.chown(target / "new", 100_005, 100_006)
    finally:
        unmount(target, mount_id=mount.mount_id)
    assert owner(writable["upper"] / "user") == (100_001, 100_002)
    assert owner(writable["upper"] / "new") == (100_005, 100_006)
    assert owner(files / "user") == (1, 2)
    assert (files / "user").read_text() == "user"


def test_an_overlay_over_one_mapped_image_is_a_containers(erofs, writable, target):
    with mount_idmapped(erofs, SHIFTED) as lower:
        mount = mount_overlay([lower], target, **writable)
    try:
        for uid, allowed in ((1, False), (100_001, True), (100_003, False)):
            command = ["setpriv", f"--reuid={uid}", "--regid=1", "--clear-groups", "cat", "user"]
            done = subprocess.run(command, cwd=target, capture_output=True, check=False)
            assert (done.returncode == 0) == allowed, uid
    finally:
        unmount(target, mount_id=mount.mount_id)


def test_a_filesystem_that_cannot_is_told_apart(files, writable, target):
    """An overlay itself cannot be mapped."""
    with mount_overlay([files], **writable) as mount:
        with pytest.raises(IdMapRefusedError, match="cannot be shown as others") as caught:
            mount_idmapped(mount, SHIFTED)
        assert "copied" in caught.value.hint
    with pytest.raises(IdMapRefusedError, match="/proc"):
        mount_idmapped("/proc", SHIFTED)


def test_a_mapped_mount_is_not_mapped_again(files):
    with mount_idmapped(files, SHIFTED) as mount, pytest.raises(IdMapRefusedError):
        mount_idmapped(mount, SHIFTED)


def test_sources_that_are_none(tmp_path, files):
    with pytest.raises(FileNotFoundError) as caught:
        mount_idmapped(tmp_path / "none", SHIFTED)
    assert caught.value.filename == str(tmp_path / "none")
    with pytest.raises(NotADirectoryError):
        mount_idmapped(files / "root", SHIFTED)


def test_a_thousand_mounts_need_one_namespace(files):
    with UserNamespaces() as namespaces:
        inodes = set()
        for _ in range(100):
            mount_idmapped(files, SHIFTED, namespaces=namespaces).close()
            with namespaces.open(SHIFTED) as namespace:
                inodes.add(os.fstat(namespace.fileno()).st_ino)
        assert len(inodes) == 1


def test_without_privilege_it_is_unsupported(files):
    assert as_nobody(_refusal) == "UnsupportedError"


def _refusal():
    try:
        mount_idmapped("/", SHIFTED)
    except UnsupportedError as error:
        return type(error).__name__
