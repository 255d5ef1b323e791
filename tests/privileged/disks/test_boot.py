"""Machines that boot from an image made into disks, and see what the image has."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

import orlop
from orlop.disks import DiskOptions
from support.disks import mounted
from support.images import ImageBuilder, directory, file, symlink
from support.listing import LIST, expected_listing, parse_listing
from support.machine import Disk, Disks, boot, busybox, needs_machine
from support.marks import needs_root, needs_tools
from support.peers import run

pytestmark = [
    *needs_root,
    *needs_machine,
    *needs_tools("umoci", "mke2fs", "e2fsck", "mkfs.erofs", "mksquashfs", "tar"),
]


class Peers:
    """Disks made by the tools of each filesystem, of what umoci and GNU tar unpack.

    Attributes:
        whole_seconds: The filesystems in which they keep no more of a time.
        wrong: The paths that they, or these filesystems, cannot show as they are.
    """

    whole_seconds = ("ext4", "squashfs")
    wrong: ClassVar = {"ext4": [b"."], "squashfs": [b"./odd/before 1970"]}

    def make(self, image, path, kind):
        """Write all of the image into one file."""
        if kind == "ext4":
            make_ext4(path, "-d", image.root)
        elif kind == "erofs":
            run("mkfs.erofs", path, image.root)
        else:
            run("mksquashfs", image.root, path, "-quiet", "-no-progress", "-noappend")

    def make_layers(self, image, folder):
        """Write each layer into a file, as overlay wants it; the files, the base first."""
        made = []
        for number, layer in enumerate(image.layers):
            tree, path = folder / f"tree{number}", folder / f"layer{number}.erofs"
            tree.mkdir()
            options = ["--xattrs", "--xattrs-include=*", "--numeric-owner"]
            run("tar", "-xpf", layer, "-C", tree, "--delay-directory-restore", *options)
            as_overlay_has_it(tree)
            run("mkfs.erofs", path, tree)
            made.append(path)
        return made


def as_overlay_has_it(tree):
    """Turn the whiteouts of a layer into those of overlay."""
    for folder, _, files in os.walk(tree):
        status = os.stat(folder)
        for name in files:
            if name == ".wh..wh..opq":
                os.setxattr(folder, "trusted.overlay.opaque", b"y")
            elif name.startswith(".wh."):
                os.mknod(os.path.join(folder, name[4:]), 0o020000, 0)
            else:
                continue
            os.unlink(os.path.join(folder, name))
        os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))


def make_ext4(path, *options, size=64 << 20):
    with path.open("wb") as file:
        file.truncate(size)
    run("mke2fs", "-q", "-t", "ext4", *options, path)


class Orlop:
    """Disks made by orlop, of the image's layers; see `Peers`."""

    whole_seconds = ("squashfs",)
    wrong: ClassVar = {"squashfs": [b"./odd/before 1970"]}

    def make(self, image, path, kind):
        """Write all of the image into one file."""
        free = 8 << 20 if kind == "ext4" else 0
        self._disks(image, path, DiskOptions(fs=kind, free=free))

    def make_layers(self, image, folder):
        """Write each layer into a file, as overlay wants it; the files, the base first."""
        disks = self._disks(image, folder / "layer.erofs", DiskOptions(layout="layers"))
        return [disk.path for disk in disks]

    def _disks(self, image, path, options):
        place = path.parent / "store"
        with orlop.open_store(place / "root", place / "run") as store:
            source = f"oci:{image.layout.path}:{image.layout.tag}"
            return store.pull(source, tag="localhost/odd").disks(path, options)


MAKERS = [pytest.param(Orlop(), id="orlop"), pytest.param(Peers(), id="peers")]


WRITE = """
set -e
cd /srv
mkdir new
echo written > new/file
cat new/file
echo second >> log
cat log
rm old
ls -1
sync
"""
WRITTEN = [b"written", b"first", b"second", b"log", b"new"]

CAPABLE = """
su nobody -c '/bin/cat /etc/secret' 2>/dev/null && exit 1
su nobody -c '/caps/cat /etc/secret' || exit 1
"""


def check(disks, image, maker, kind):
    """Boot, compare everything with what umoci unpacks, try a capability, and write."""
    lines, status = boot(disks, f"{LIST}{CAPABLE}{WRITE}")
    assert status == 0, lines
    end = lines.index(b"done") + 1
    assert lines[end:] == [b"for root alone", *WRITTEN]
    inodes, digests = parse_listing(lines[:end])
    expected_inodes, expected_digests = expected_listing(
        image.root, whole_seconds=kind in maker.whole_seconds
    )
    inodes.pop(b"./lost+found", None)
    for path in maker.wrong.get(kind, ()):
        del inodes[path], expected_inodes[path]
    assert inodes == expected_inodes
    assert digests == expected_digests


def xattrs_of(root):
    """The xattrs of all but what the machine writes to, by path."""
    return {
        path[len(os.fsencode(root)) :]: {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        }
        for folder, folders, files in os.walk(os.fsencode(root))
        for path in (os.path.join(folder, name) for name in [*folders, *files])
        if b"/srv" not in path and b"/lost+found" not in path
    }


@pytest.mark.parametrize("maker", MAKERS)
def test_root_on_ext4(tmp_path, image, maker):
    path = tmp_path / "disk"
    maker.make(image, path, "ext4")
    check(Disks(root=Disk(path=path, kind="ext4", read_only=False)), image, maker, "ext4")
    run("e2fsck", "-fn", path)
    with mounted(tmp_path, "ext4", "-o", "loop,ro", path) as root:
        assert (root / "srv/new/file").read_text() == "written\n"
        assert (root / "srv/log").read_text() == "first\nsecond\n"
        assert sorted(os.listdir(root / "srv")) == ["log", "new"]
        found = xattrs_of(root)
        assert found == xattrs_of(image.root)
        assert found[b"/odd/noted"] == {"user.note": b"kept"}


@pytest.mark.parametrize("kind", ["erofs", "squashfs"])
@pytest.mark.parametrize("maker", MAKERS)
def test_root_on_one_read_only_disk_and_memory(tmp_path, image, maker, kind):
    path = tmp_path / "disk"
    maker.make(image, path, kind)
    before = path.read_bytes()
    check(Disks(lower=(Disk(path=path, kind=kind),), upper="tmpfs"), image, maker, kind)
    assert path.read_bytes() == before


@pytest.mark.parametrize("maker", MAKERS)
def test_root_on_a_disk_for_each_layer_and_one_for_what_is_written(tmp_path, image, maker):
    lower = maker.make_layers(image, tmp_path)
    assert len(lower) == 3
    upper = tmp_path / "upper"
    make_ext4(upper)
    disks = Disks(
        lower=tuple(Disk(path=path, kind="erofs") for path in lower),
        upper=Disk(path=upper, kind="ext4", read_only=False),
    )
    check(disks, image, maker, "erofs")
    assert boot(disks, "cat /srv/*/file /srv/log") == (WRITTEN[:3], 0)
    run("e2fsck", "-fn", upper)
    with mounted(tmp_path, "ext4", "-o", "loop,ro", upper) as root:
        assert (root / "upper/srv/new/file").read_text() == "written\n"
        assert (root / "upper/srv/log").read_text() == "first\nsecond\n"
        assert os.stat(root / "upper/srv/old").st_rdev == 0


def test_the_example_ends_as_its_command_does(tmp_path, image):
    path = tmp_path / "disk"
    Peers().make(image, path, "erofs")
    script = Path(__file__).parents[3] / "examples/microvm/microvm.py"
    words = ["--accelerator", "tcg", "--lower", f"erofs:{path}", "--", "echo hi; id -u; exit 7"]
    done = subprocess.run(
        [sys.executable, script, *words], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 7, done.stderr
    assert b"orlop: running\r\nhi\r\n0\r\n" in done.stdout


def test_a_machine_that_takes_too_long_is_ended(tmp_path, image):
    path = tmp_path / "disk"
    Peers().make(image, path, "erofs")
    disks = Disks(lower=(Disk(path=path, kind="erofs"),))
    with pytest.raises(AssertionError, match="not done in 1 s; the console says"):
        boot(disks, "cat", timeout=1)


def test_a_disk_that_is_damaged_does_not_go_unnoticed(tmp_path, image):
    path = tmp_path / "disk"
    make_ext4(path, "-d", image.root)
    with path.open("r+b") as file:
        file.seek(1024)
        file.write(bytes(4096))
    with pytest.raises(AssertionError, match="cannot be mounted as ext4"):
        boot(Disks(root=Disk(path=path, kind="ext4", read_only=False)), "true")


GROW = """
set -e
/resize2fs /dev/vda >/dev/null 2>&1
mkdir /grown
for n in 1 2 3 4 5 6 7 8; do
    dd if=/dev/zero of=/grown/$n bs=1M count=20 2>/dev/null
done
ls /grown | wc -l
"""


@pytest.mark.parametrize("size", [60 << 20, 400 << 20])
def test_a_machine_makes_its_root_larger_while_it_runs(tmp_path, size):
    """The file behind it grew; what is written then needs the new room."""
    program = shutil.which("resize2fs")
    libraries = re.findall(r"(/\S+) \(0x", run("ldd", program))
    builder = ImageBuilder()
    builder.layer(
        *map(directory, (".", "bin", "dev", "proc", "lib64", "tmp", "root", "mnt")),
        file("bin/busybox", busybox(), mode=0o755),
        *[symlink(f"bin/{name}", "busybox") for name in ("sh", "mount", "umount", "mkdir")],
        *[symlink(f"bin/{name}", "busybox") for name in ("ls", "wc", "dd", "cat")],
        file("resize2fs", Path(program).read_bytes(), mode=0o755),
        *[file(path[1:], Path(path).read_bytes(), mode=0o755) for path in libraries],
    )
    layout = builder.write(tmp_path / "layout")
    path = tmp_path / "disk"
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        stored = store.pull(f"oci:{layout.path}:{layout.tag}", tag="localhost/growing")
        stored.disks(path, DiskOptions(fs="ext4", size=size))
    os.truncate(path, 4 << 30)
    lines, status = boot(Disks(root=Disk(path=path, kind="ext4", read_only=False)), GROW)
    assert (lines, status) == ([b"8"], 0)
    run("e2fsck", "-fn", path)
    assert "Block count:              1048576\n" in run("dumpe2fs", "-h", path)
