"""Layers and containers mounted by the command: written to, listed, taken away, committed."""

import json
import os
from pathlib import Path

import pytest

DRIVERS = ["erofs", "overlay", "vfs"]


@pytest.fixture(params=DRIVERS)
def orlop(request, command, monkeypatch):
    """Run a command with one of the drivers; what it prints, in lines."""
    monkeypatch.setenv("ORLOP_DRIVER", request.param)

    def run(*arguments):
        done = command.orlop(*arguments)
        assert done.code == 0, done
        return done.out.splitlines()

    run.driver = request.param
    return run


def test_a_container_from_its_making_to_its_end(orlop, mounted):
    (made,) = orlop("container", "create", "box", "--name", "web")
    (path,) = orlop("container", "mount", "web")
    rootfs = Path(path)
    assert (rootfs in mounted()) == (orlop.driver != "vfs")
    assert (rootfs / "etc/hostname").read_text() == "second\n"
    (rootfs / "etc/hostname").write_text("third\n")
    os.unlink(rootfs / "name")
    (rootfs / "new").mkdir(mode=0o700)
    os.chown(rootfs / "new", 12, 34)
    os.mknod(rootfs / "null", 0o20666, os.makedev(1, 3))
    (rootfs / "null").write_text("nowhere")  # devices work
    assert orlop("container", "changes", "web") == [
        "C /etc/hostname", "D /name", "A /new", "A /null",
    ]  # fmt: skip
    assert orlop("container", "umount", "web") == []
    assert mounted() == []
    (image,) = orlop("container", "commit", "web", "next")
    (again,) = orlop("container", "create", "next")
    rootfs = Path(*orlop("container", "mount", again))
    assert (rootfs / "etc/hostname").read_text() == "third\n"
    assert not os.path.lexists(rootfs / "name")
    status = (rootfs / "new").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (12, 34, 0o700)
    assert orlop("container", "changes", again) == []
    assert orlop("container", "rm", "--force", again, "web") == [again, made]
    assert mounted() == []
    assert len(orlop("image", "rm", image)) == 1


def test_holds_are_counted(orlop, command, mounted):
    (layer,) = orlop("layer", "create", "--name", "l")
    (first,) = orlop("layer", "mount", "l")
    assert orlop("layer", "mount", layer[:9]) == [first]
    found = json.loads(command.orlop("mount", "--format", "json").out)
    (row,) = [each for each in found if each["layer"] == layer]
    assert (row["target"], row["kept"], row["writable"], row["name"]) == (first, 2, True, "l")
    assert any("layer l" in line for line in orlop("mount"))
    command.orlop("layer", "rm", "l").check_failure(5, "mounted")
    command.orlop("layer", "create", "l").check_failure(5, "takes writes")
    assert orlop("layer", "umount", "l") == []
    assert (Path(first) in mounted()) == (orlop.driver != "vfs")
    assert sum("layer l" in line for line in orlop("mount")) == 1
    assert orlop("umount", first) == []  # by its place, as images are
    assert mounted() == []
    command.orlop("layer", "umount", "l").check_failure(3, "is not mounted")
    assert orlop("layer", "rm", "l") == [layer]


def test_force(orlop, command, mounted):
    (made,) = orlop("container", "create", "box")
    (path,) = orlop("container", "mount", made)
    orlop("container", "mount", made)
    with open(f"{path}/open", "w"):
        command.orlop("container", "rm", made).check_failure(5)
        assert orlop("container", "umount", "--force", made) == []
        assert mounted() == []
    assert orlop("container", "rm", made) == [made]


def test_read_only(orlop, command, mounted):
    orlop("layer", "create", "--name", "l")
    (path,) = orlop("layer", "mount", "l", "--read-only")
    with pytest.raises(OSError, match="Read-only"):
        Path(path, "file").touch()
    orlop("layer", "umount", "l")
    orlop("layer", "create", "l", "--name", "above", "--read-only")
    (path,) = orlop("layer", "mount", "above")
    with pytest.raises(OSError, match="Read-only"):
        Path(path, "file").touch()
    orlop("layer", "umount", "above", "-f")


def test_images_without_a_manifest(orlop, tmp_path, mounted):
    orlop("layer", "create", "--name", "l")
    (path,) = orlop("layer", "mount", "l")
    Path(path, "file").write_text("text")
    orlop("layer", "umount", "l")
    orlop("image", "create", "l", "--name", "bare")
    (path,) = orlop("image", "mount", "bare")
    assert Path(path, "file").read_text() == "text"
    assert orlop("image", "umount", "bare") == []
    (first,) = orlop("copy", "store:bare", f"oci:{tmp_path}/one")
    (second,) = orlop("copy", "store:bare", f"oci:{tmp_path}/two")
    assert first == second
    assert orlop("layer", "changes", "l") == ["A /file"]  # frozen now, and the same
    assert mounted() == []
    orlop("image", "rm", "bare")


def test_what_containers_stand_on_is_listed(orlop):
    made = [
        *orlop("container", "create", "box", "--name", "first"),
        *orlop("container", "create", "box"),
    ]
    orlop("container", "mount", *made)
    shown = orlop("mount")
    # Only merged indexes are mounted for several containers together.
    assert sum("  stack " in line for line in shown) == (orlop.driver == "erofs")
    assert sum("  container first  " in line for line in shown) == 1
    orlop("container", "umount", *made)
    assert len(orlop("mount")) == 1


def test_ids_of_containers(orlop):
    (made,) = orlop("container", "create", "box", "--uidmap", "0:100000:65536")
    (path,) = orlop("container", "mount", made)
    assert os.stat(f"{path}/etc/hostname").st_uid == 100000
    os.mkdir(f"{path}/mine")
    os.chown(f"{path}/mine", 100007, 100008)
    orlop("container", "umount", made)
    (image,) = orlop("container", "commit", made)
    (other,) = orlop("container", "create", image)
    (path,) = orlop("container", "mount", other)
    assert (os.stat(f"{path}/mine").st_uid, os.stat(f"{path}/mine").st_gid) == (7, 8)
    orlop("container", "rm", "-f", other, made)
