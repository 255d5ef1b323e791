import random
import re

import pytest
from hypothesis import HealthCheck, assume, given, settings

from orlop.digest import Digest
from orlop.testing.trees import Bytes, content, everything
from orlop.tree import Node, directory
from support.ext4 import check, facts, run, write_file
from support.marks import needs_tools
from support.random_trees import DATA, trees

pytestmark = needs_tools("e2fsck", "dumpe2fs", "debugfs", "mke2fs")

MIB = 1 << 20
GROUP = 128 * MIB
SOURCE = Digest.of(b"source")


def read_data(source, offset, size):
    return DATA[offset : offset + size]


def names(count, length=20):
    return [b"%08d" % number + b"-" * (length - 8) for number in range(count)]


def crowd(count, length=20):
    root = directory()
    root.children.update((name, Node(0o100644)) for name in names(count, length))
    return root


@pytest.mark.parametrize("journal", [False, True])
def test_e2fsck_finds_nothing_in_a_tree_with_everything(tmp_path, journal):
    store = Bytes()
    write_file(tmp_path / "image", everything(store), store.read, journal=journal)
    check(tmp_path / "image")


@given(trees)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_e2fsck_finds_nothing_in_random_trees(tmp_path, root):
    """A consistent filesystem needs no repair, whatever tree is in it."""
    assume(b"lost+found" not in root.children)
    write_file(tmp_path / "image", root, read_data)
    check(tmp_path / "image")


@pytest.mark.parametrize("seed", range(12))
def test_e2fsck_finds_nothing_on_disks_of_any_size(tmp_path, seed):
    chosen = random.Random(seed)
    store = Bytes()
    root = everything(store)
    for _ in range(4):
        groups = chosen.choice([0, 1, 2, 3, 8, 16, 17, 32, 100, 1000])
        more = chosen.choice([0, 4096, 100 << 12, 600 << 12, 1100 << 12, chosen.randrange(GROUP)])
        write_file(
            tmp_path / "image", root, store.read,
            size=12 * MIB + groups * GROUP + more,
            bytes_per_inode=chosen.choice([2048, 4096, 16_384, 65_536]),
            journal=chosen.random() < 0.5,
        )  # fmt: skip
        check(tmp_path / "image")


@pytest.mark.parametrize("free", [0, MIB, 127 * MIB, 128 * MIB, 129 * MIB, 1 << 30, 40 << 30])
def test_e2fsck_finds_nothing_on_disks_with_free_space(tmp_path, free):
    written = write_file(tmp_path / "image", directory(), free=free)
    check(tmp_path / "image")
    assert 0 <= (written.free_blocks << 12) - free < 2 * MIB


@pytest.mark.parametrize("seed", range(10))
def test_content_goes_around_what_lies_between(tmp_path, seed):
    chosen = random.Random(seed)
    root = directory()
    for number in range(200):
        size = chosen.choice([1, 4096, 100_000, 3 * MIB, 200 * MIB])
        stored = ((size // 3, 1), (size // 3 + 5, 2)) if chosen.random() < 0.3 else None
        if number > 3:
            size = min(size, 3 * MIB)
            stored = stored and ((size // 3, 1),)
        root.children[b"%d" % number] = Node(
            0o100644, size=size, source=SOURCE,
            segments=stored if size > 100 else None,
        )  # fmt: skip
    write_file(tmp_path / "image", root, lambda source, offset, size: bytes(size))
    check(tmp_path / "image")


def test_dumpe2fs_reads_what_was_asked_for(tmp_path):
    written = write_file(
        tmp_path / "image", directory(), size=300 * MIB, label=b"a disk", journal=True
    )
    found = facts(tmp_path / "image")
    assert found["Filesystem volume name"] == "a disk"
    assert found["Filesystem UUID"] == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert set(found["Filesystem features"].split()) == {
        "has_journal", "ext_attr", "resize_inode", "dir_index", "filetype", "extent", "flex_bg",
        "sparse_super", "large_file", "huge_file", "uninit_bg", "dir_nlink", "extra_isize",
    }  # fmt: skip
    assert found["Filesystem state"] == "clean"
    assert found["Filesystem flags"] == "unsigned_directory_hash"
    assert int(found["Block count"]) == written.blocks == 300 * MIB >> 12
    assert int(found["Free blocks"]) == written.free_blocks
    assert int(found["Inode count"]) == written.inodes
    assert int(found["Free inodes"]) == written.free_inodes
    assert int(found["Total journal blocks"]) == written.journal_blocks == 4096
    assert found["Reserved block count"] == "0"
    assert found["Filesystem created"].endswith("2023")


def test_debugfs_hashes_names_alike(tmp_path):
    write_file(tmp_path / "image", crowd(500), journal=False)
    tree = run("debugfs", "-R", "htree_dump /", tmp_path / "image")
    assert "Indirect levels: 0" in tree
    seed = facts(tmp_path / "image")["Directory Hash Seed"]
    for name in names(500)[::50]:
        text = name.decode()
        said = run("debugfs", "-R", f"dx_hash -h half_md4 -s {seed} {text}", tmp_path / "image")
        value = re.search(r"is (0x[0-9a-f]+)", said)[1]
        assert f"{value}-" in tree.split(text)[0].rsplit("\n", 1)[-1]


def test_debugfs_reads_files_back(tmp_path):
    store = Bytes()
    root = everything(store)
    image = tmp_path / "image"
    write_file(image, root, store.read)
    run("debugfs", "-R", f"dump /holes {tmp_path / 'holes'}", image)
    assert (tmp_path / "holes").read_bytes() == content(root.children[b"holes"], store)
    said = run("debugfs", "-R", "stat /char", image)
    assert "Device major/minor number: 4095:1048575" in said


@pytest.mark.parametrize(("count", "length"), [(100, 40), (3000, 200), (20_000, 255)])
def test_e2fsck_finds_nothing_in_large_directories(tmp_path, count, length):
    write_file(tmp_path / "image", crowd(count, length), journal=False)
    check(tmp_path / "image")
    said = run("debugfs", "-R", "htree_dump /", tmp_path / "image")
    assert f"Indirect levels: {1 if count > 7000 else 0}" in said


def test_attributes_with_names_that_are_no_text_have_the_right_hash(tmp_path):
    root = directory()
    root.children[b"a"] = Node(0o100644, xattrs={b"user.\xc3\xa9\xff" + b"x" * 90: b"v" * 100})
    root.children[b"b"] = Node(0o100644, xattrs={b"user.\xc3\xa9": b"v"})
    write_file(tmp_path / "image", root)
    check(tmp_path / "image")


def test_attributes_shared_by_many_have_as_many_references(tmp_path):
    root = crowd(3000)
    for node in root.children.values():
        node.xattrs = {b"security.selinux": b"system_u:object_r:" + b"t" * 100}
    write_file(tmp_path / "image", root)
    check(tmp_path / "image")


def moderate(top):
    chosen = random.Random(5)
    for number in range(60):
        folder = top / f"folder-{number}"
        folder.mkdir()
        for each in range(chosen.randrange(80)):
            (folder / f"file-{each}").write_bytes(chosen.randbytes(chosen.randrange(30_000)))
    (top / "large").write_bytes(b"z" * (60 * MIB))
    return top


def test_an_image_takes_no_more_room_than_that_of_mke2fs(tmp_path):
    top = tmp_path / "tree"
    top.mkdir()
    moderate(top)
    root = directory()
    for path in sorted(top.rglob("*")):
        parent = root if path.parent == top else root.children[path.parent.name.encode()]
        status = path.stat()
        parent.children[path.name.encode()] = (
            directory()
            if path.is_dir()
            else Node(status.st_mode, size=status.st_size, source=SOURCE)
        )
    size = 400 * MIB
    write_file(tmp_path / "ours", root, lambda source, offset, size: b"c" * size, size=size)
    with open(tmp_path / "theirs", "wb") as file:
        file.truncate(size)
    run(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-b",
        "4096",
        "-i",
        "16384",
        "-m",
        "0",
        "-d",
        top,
        tmp_path / "theirs",
    )
    ours, theirs = facts(tmp_path / "ours"), facts(tmp_path / "theirs")
    assert int(ours["Inode count"]) >= int(theirs["Inode count"])
    assert ours["Total journal blocks"] == theirs["Total journal blocks"]
    used, needed = (int(each["Block count"]) - int(each["Free blocks"]) for each in (ours, theirs))
    assert 0.95 * needed < used < 1.05 * needed
