import os
import stat

import pytest

from orlop.content import DigestDirectory, Trash, ensure_directory
from orlop.digest import Digest
from orlop.errors import UnsupportedError

DIGEST = Digest.of(b"x")


@pytest.fixture
def trash(tmp_path):
    return Trash(str(tmp_path / "root" / "trash"))


def fill(path, depth, width=2):
    path.mkdir()
    (path / "file").write_text("x")
    (path / "link").symlink_to("/etc")
    for number in range(width if depth else 0):
        fill(path / str(number), depth - 1, width)


def test_trash_takes_and_frees(tmp_path, trash):
    fill(tmp_path / "tree", 3)
    (tmp_path / "plain").write_text("x")
    place = trash.put(str(tmp_path / "tree"))
    assert trash.put(str(tmp_path / "plain")) is not None
    assert trash.put(str(tmp_path / "plain")) is None
    assert sorted(os.listdir(tmp_path)) == ["root"]
    assert os.path.isdir(place)
    assert trash.empty() == 2
    assert trash.empty() == 0
    assert os.listdir(tmp_path / "root" / "trash") == []


def test_a_directory_where_the_kernel_makes_none():
    """Procfs says that the name is missing, though its parent is there: it was endless."""
    with pytest.raises(FileNotFoundError, match="/proc/none"):
        ensure_directory("/proc/none/store")


def test_a_directory_below_a_link_to_nowhere(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="link"):
        ensure_directory(str(tmp_path / "link" / "store"))


def test_missing_trash_is_empty(trash, tmp_path):
    assert trash.empty() == 0
    assert trash.put(str(tmp_path / "nothing")) is None
    assert not (tmp_path / "root").exists()


def test_depth_does_not_matter(tmp_path, trash):
    here = tmp_path / "deep"
    here.mkdir()
    fd = os.open(here, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 50, dir_fd=fd)
        inner = os.open("d" * 50, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    trash.put(str(here))
    trash.empty()
    assert os.listdir(tmp_path / "root" / "trash") == []


def test_links_are_not_followed(tmp_path, trash):
    outside = tmp_path / "outside"
    fill(outside, 1)
    outside.chmod(0o755)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(outside)
    (tmp_path / "link").symlink_to(outside)
    trash.put(str(tmp_path / "tree"))
    trash.put(str(tmp_path / "link"))
    trash.empty()
    assert (outside / "1" / "file").read_text() == "x"
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755


def test_directories_without_permission_are_freed(tmp_path, trash):
    fill(tmp_path / "tree", 2)
    for directory, _, _ in os.walk(tmp_path / "tree", topdown=False):
        os.chmod(directory, 0)
    trash.put(str(tmp_path / "tree"))
    trash.empty()
    assert os.listdir(tmp_path / "root" / "trash") == []


def test_somebody_else_empties_the_trash(tmp_path, trash):
    fill(tmp_path / "tree", 1)
    place = trash.put(str(tmp_path / "tree"))
    trash.empty()
    trash.remove(place)
    assert os.listdir(tmp_path / "root" / "trash") == []


def test_ensure_directory_makes_private_parents(tmp_path):
    ensure_directory(str(tmp_path / "a" / "b"))
    ensure_directory(str(tmp_path / "a" / "b"))
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_ensure_directory_needs_a_directory_above(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        ensure_directory(str(tmp_path / "file" / "below"))


def test_entries_are_directories_too(tmp_path, trash):
    forms = DigestDirectory(str(tmp_path / "forms"), trash)
    fill(tmp_path / "made", 1)
    forms.adopt(str(tmp_path / "made"), DIGEST)
    assert forms.path_of(DIGEST) == str(tmp_path / "forms" / "sha256" / DIGEST.encoded)
    assert os.path.isdir(forms.path_of(DIGEST))
    assert list(forms.iter_digests()) == [DIGEST]
    assert forms.delete(DIGEST)
    assert not forms.delete(DIGEST)
    assert trash.empty() == 1


def test_names_that_are_no_digests_are_passed_over(tmp_path, trash):
    directory = DigestDirectory(str(tmp_path), trash)
    for name in ("sha256", "blake3", "UPPER", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "sha256" / "short").touch()
    (tmp_path / "sha256" / DIGEST.encoded).touch()
    (tmp_path / "blake3" / ("0" * 64)).touch()
    (tmp_path / "UPPER" / DIGEST.encoded).touch()
    assert list(directory.iter_digests()) == [DIGEST]


def test_adopting_nothing(tmp_path, trash):
    with pytest.raises(FileNotFoundError):
        DigestDirectory(str(tmp_path / "blobs"), trash).adopt(str(tmp_path / "nothing"), DIGEST)


def test_what_cannot_be_verified_has_no_path(tmp_path, trash):
    with pytest.raises(UnsupportedError):
        DigestDirectory(str(tmp_path), trash).path_of(Digest("blake3:" + "0" * 64))
