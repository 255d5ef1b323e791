import contextlib
import os
import random
import subprocess

import pytest
from hypothesis import HealthCheck, assume, given, settings

from orlop.digest import Digest
from orlop.testing.trees import Bytes, content, everything
from orlop.tree import Node, directory, iter_differences, walk
from support.ext4 import check, facts, run, write_file
from support.marks import needs_root, needs_tools
from support.random_trees import DATA, trees
from support.views import changed, differences, view, wrong_link_counts

pytestmark = [*needs_root, *needs_tools("e2fsck", "dumpe2fs", "resize2fs", "mke2fs")]

MIB = 1 << 20
SOURCE = Digest.of(b"source")


@contextlib.contextmanager
def mounted(image, options="ro"):
    target = image.parent / f"{image.name}.mounted"
    target.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "ext4", "-o", f"loop,{options}", image, target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)


def read_data(source, offset, size):
    return DATA[offset : offset + size]


def shown(image):
    """What the kernel shows of an image, without the directory that every ext4 has."""
    with mounted(image) as path:
        found = view(path)
        assert wrong_link_counts(path) == []
    del found.children[b"lost+found"]
    return found


def with_content(root, read):
    """The tree with the digest of each file's content for its source, as views have it."""
    copies = {}
    for _, node in walk(root):
        if node not in copies:
            copies[node] = Node(
                node.mode, node.uid, node.gid, node.mtime_ns, node.size, node.rdev, node.target,
                node.xattrs,
            )  # fmt: skip
            if node.size:
                copies[node].source = Digest.of(read(node))
    for node, copy in copies.items():
        for name, child in (node.children or {}).items():
            copy.children[name] = copies[child]
    return copies[root]


def crowd(count, *, links=False):
    root = directory()
    one = Node(0o100644)
    for number in range(count):
        root.children[b"a name of number %d" % number] = one if links else Node(0o100644)
    return root


@pytest.mark.parametrize("journal", [False, True])
def test_the_kernel_shows_the_tree_with_everything(tmp_path, journal):
    store = Bytes()
    root = everything(store)
    huge = root.children.pop(b"hole")
    image = tmp_path / "image"
    write_file(image, root, store.read, journal=journal)
    expected = with_content(root, lambda node: content(node, store))
    assert differences(expected, shown(image)) == []
    write_file(image, one(huge), store.read, journal=journal)
    with mounted(image) as path:
        assert (path / "name").stat().st_size == huge.size
        assert (path / "name").stat().st_blocks == 0


def one(node):
    root = directory()
    root.children[b"name"] = node
    return root


@given(trees)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_kernel_shows_random_trees(tmp_path, root):
    """What is mounted is the tree, in every inode and every byte."""
    assume(b"lost+found" not in root.children)
    image = tmp_path / "image"
    write_file(image, root, read_data)
    expected = with_content(root, lambda node: DATA[node.offset : node.offset + node.size])
    assert differences(expected, shown(image)) == []


def test_the_kernel_mounts_without_a_word_of_complaint(tmp_path):
    """That it mounts at all it may leave unsaid, where others mount as well."""
    image = tmp_path / "image"
    write_file(image, directory(), free=8 * MIB)
    with open("/dev/kmsg", "rb", buffering=0) as log:
        os.set_blocking(log.fileno(), False)
        log.seek(0, os.SEEK_END)
        with mounted(image, "rw") as path:
            device = run("findmnt", "-n", "-o", "SOURCE", path).strip().removeprefix("/dev/")
        said = list(lines_of(log))
    ours = [line for line in said if f"EXT4-fs ({device})" in line]
    assert not [line for line in ours if "warning" in line or "error" in line]


def lines_of(log):
    """What the kernel has said; lines that were lost because there were too many are none."""
    while True:
        try:
            line = os.read(log.fileno(), 8192)
        except BrokenPipeError:
            continue
        except BlockingIOError:
            return
        yield line.decode(errors="replace").partition(";")[2]


def stress(path, seed):
    """Make, rename, grow, cut and remove thousands of files, and remember what must be there."""
    chosen = random.Random(seed)
    known = {}
    top = path / "crowd"
    top.mkdir(exist_ok=True)
    for number in range(4000):
        name = top / f"a name that is not short {number:06d}"
        data = chosen.randbytes(chosen.choice([0, 10, 100, 5000]))
        name.write_bytes(data)
        known[name] = data
        if chosen.random() < 0.3:
            os.setxattr(name, "user.note", chosen.randbytes(chosen.choice([10, 500])))
    for name in chosen.sample(sorted(known), 1500):
        name.unlink()
        del known[name]
    for name in chosen.sample(sorted(known), 1000):
        target = top / f"renamed {name.name}"
        name.rename(target)
        known[target] = known.pop(name)
    big = path / "big"
    big.write_bytes(chosen.randbytes(MIB) * 30)
    os.truncate(big, 17 * MIB + 5)
    with big.open("r+b") as file:
        file.seek(60 * MIB)
        file.write(b"end")
    return known


def is_as_known(known):
    return all(name.read_bytes() == data for name, data in known.items())


@pytest.mark.parametrize("journal", [False, True])
def test_an_image_is_written_to_like_any_other(tmp_path, journal):
    store = Bytes()
    root = everything(store)
    root.children[b"crowd"] = crowd(3000)
    image = tmp_path / "image"
    write_file(image, root, store.read, free=300 * MIB, journal=journal, bytes_per_inode=8192)
    with mounted(image, "rw") as path:
        known = stress(path, 1)
        for number in range(0, 3000, 2):
            (path / f"crowd/a name of number {number}").unlink()
        for number in range(20_000):
            os.close(os.open(path / f"large/grown {number}", os.O_CREAT | os.O_WRONLY))
        os.setxattr(path / "xattrs", "user.note", b"other")
        os.removexattr(path / "xattrs", "user.large")
    check(image)
    with mounted(image) as path:
        assert is_as_known(known)
        assert len(os.listdir(path / "large")) == 20_700
        assert os.getxattr(path / "xattrs", "user.note") == b"other"
        assert (path / "crowd/a name of number 1").exists()


def test_attributes_that_are_shared_can_be_changed_one_by_one(tmp_path):
    root = crowd(1500)
    for node in root.children.values():
        node.xattrs = {b"user.shared": b"s" * 200}
    image = tmp_path / "image"
    write_file(image, root, free=20 * MIB)
    with mounted(image, "rw") as path:
        for number in range(0, 1500, 3):
            os.setxattr(path / f"a name of number {number}", "user.shared", b"t" * 200)
        for number in range(1, 1500, 3):
            os.removexattr(path / f"a name of number {number}", "user.shared")
    check(image)
    with mounted(image) as path:
        assert os.getxattr(path / "a name of number 2", "user.shared") == b"s" * 200
        assert os.getxattr(path / "a name of number 3", "user.shared") == b"t" * 200
        assert os.listxattr(path / "a name of number 4") == []


def fill(path):
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"f" * MIB)


def test_a_disk_can_be_filled_to_its_last_byte(tmp_path):
    image = tmp_path / "image"
    write_file(image, directory(), free=50 * MIB)
    with mounted(image, "rw") as path:
        with pytest.raises(OSError, match="space"):
            fill(path / "full")
        assert (path / "full").stat().st_size > 45 * MIB
    check(image)


def test_a_hundred_thousand_entries_are_found(tmp_path):
    root = crowd(120_000)
    image = tmp_path / "image"
    write_file(image, root, free=20 * MIB)
    check(image)
    with mounted(image, "rw") as path:
        assert len(os.listdir(path)) == 120_001
        for number in range(0, 120_000, 997):
            assert (path / f"a name of number {number}").exists()
        for number in range(5000):
            os.close(os.open(path / f"another name {number}", os.O_CREAT | os.O_WRONLY))
        for number in range(0, 120_000, 60):
            (path / f"a name of number {number}").unlink()
    check(image)


def test_an_inode_has_65000_names(tmp_path):
    image = tmp_path / "image"
    write_file(image, crowd(65_000, links=True))
    check(image)
    with mounted(image) as path:
        assert (path / "a name of number 64999").stat().st_nlink == 65_000


def test_a_directory_has_more_directories_than_links_can_count(tmp_path):
    root = directory()
    root.children.update((b"%d" % number, directory()) for number in range(65_100))
    image = tmp_path / "image"
    write_file(image, root)
    check(image)
    with mounted(image) as path:
        assert path.stat().st_nlink == 1
        assert (path / "65099").is_dir()


def test_a_file_of_three_tebibytes_is_mostly_hole(tmp_path):
    ends = [0, 5 << 30, 1 << 40, (3 << 40) - 5]
    huge = Node(0o100644, size=3 << 40, source=SOURCE, segments=tuple((start, 5) for start in ends))
    image = tmp_path / "image"
    written = write_file(image, one(huge), lambda source, offset, size: b"hello"[:size])
    check(image)
    assert written.size < 10 * MIB
    with mounted(image) as path, open(path / "name", "rb") as file:
        assert os.fstat(file.fileno()).st_size == 3 << 40
        for start in ends:
            assert os.pread(file.fileno(), 5, start) == b"hello"
        assert os.pread(file.fileno(), 10, 5) == bytes(10)


def test_a_file_with_many_pieces_has_a_deep_tree(tmp_path):
    pieces = [(number * 8192, 4096) for number in range(2000)]
    data = random.Random(2).randbytes(4096 * 2000)
    file = Node(0o100644, size=8192 * 2000, source=SOURCE, segments=tuple(pieces))
    image = tmp_path / "image"
    write_file(
        image, one(file), lambda source, offset, size: data[offset : offset + size],
        free=8 * MIB,
    )  # fmt: skip
    check(image)
    with mounted(image, "rw") as path:
        found = (path / "name").read_bytes()
        assert b"".join(found[start : start + 4096] for start, _ in pieces) == data
        with open(path / "name", "r+b") as opened:
            opened.seek(4096)
            opened.write(b"f" * 5_000_000)
    check(image)


@pytest.mark.parametrize("size", [60 * MIB, 400 * MIB, 2200 * MIB])
def test_resize2fs_makes_the_filesystem_larger(tmp_path, size):
    """While it is mounted, a machine of the tests of disks does it: here nobody may."""
    store = Bytes()
    root = everything(store)
    del root.children[b"hole"]  # a terabyte to read
    image = tmp_path / "image"
    before = write_file(image, root, store.read, size=size)
    os.truncate(image, 20 << 30)
    run("e2fsck", "-fp", image)
    run("resize2fs", image)
    check(image)
    found = facts(image)
    assert before.blocks == size >> 12
    assert int(found["Block count"]) == 20 << 18
    expected = with_content(root, lambda node: content(node, store))
    assert differences(expected, shown(image)) == []


def test_resize2fs_makes_the_filesystem_smaller(tmp_path):
    store = Bytes()
    image = tmp_path / "image"
    write_file(image, everything(store), store.read, size=400 * MIB)
    run("resize2fs", "-M", image)
    check(image)
    assert int(facts(image)["Block count"]) < 100 * MIB >> 12


def test_metadata_checksums_can_be_added(tmp_path):
    store = Bytes()
    image = tmp_path / "image"
    write_file(image, everything(store), store.read, free=20 * MIB)
    run("tune2fs", "-O", "metadata_csum", image)
    check(image)
    assert "metadata_csum" in facts(image)["Filesystem features"]


def forget_nanoseconds(path, node):
    node.mtime_ns -= node.mtime_ns % 1_000_000_000


@given(trees)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_an_image_of_mke2fs_shows_the_same(tmp_path, root):
    """The view of an image is that of one which mke2fs makes of the first."""
    assume(b"lost+found" not in root.children)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write_file(ours, root, read_data)
    theirs.unlink(missing_ok=True)
    with open(theirs, "wb") as file:
        file.truncate(64 * MIB)
    with mounted(ours) as path:
        run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", path, theirs)
    first, second = (changed(shown(image), forget_nanoseconds) for image in (ours, theirs))
    second.mode, second.uid, second.gid = first.mode, first.uid, first.gid
    second.mtime_ns, second.xattrs = first.mtime_ns, first.xattrs
    assert list(iter_differences(first, second)) == []
