import os
import random
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.erofs_images import UUID, compare_contents, make, reading, sealed, trees

from orlop.digest import Digest
from orlop.errors import OrlopError
from orlop.fsimage.erofs import ErofsReader, check_image, make_codec
from orlop.fsimage.erofs.format import COMPACT_INODE
from orlop.testing.trees import Bytes, content
from orlop.tree import Node, directory, walk

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("fsck.erofs") is None, reason="needs erofs-utils"),
]


def run(*command):
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def options(name):
    return {} if name is None else {"codec": make_codec(name)}


@pytest.mark.parametrize("name", [None, "lz4"])
def test_fsck_extracts_the_files_of_random_trees(name):
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(trees(), st.booleans())
    def extracts(tree, share):
        root, store = tree
        with tempfile.TemporaryDirectory() as scratch:
            image, out = Path(scratch, "image"), os.path.join(os.fsencode(scratch), b"out")
            image.write_bytes(make(root, store.read, share=share, **options(name))[0])
            run("fsck.erofs", b"--extract=" + out, "--no-preserve", image)
            compare(root, store, out)

    extracts()


def test_fsck_passes_images_whose_inodes_fill_their_blocks(tmp_path):
    """It reads behind inodes that have no attributes, and takes the end of the image for damage.

    mkfs.erofs makes such images, too.
    """
    filled = 0
    for number in range(80, 95):
        root = directory()
        root.children = {b"%d" % each: Node(0o100644) for each in range(number)}
        image, _ = make(root, None)
        reader = ErofsReader(reading(image))
        last = max(reader.lookup(name).start for name in root.children)
        filled += (last + COMPACT_INODE.size) % 4096 == 0
        (tmp_path / "image").write_bytes(image)
        run("fsck.erofs", tmp_path / "image")
    assert filled


def compare(root, store, out):
    found = {b""}
    for place, directories, files in os.walk(out):
        below = os.path.relpath(place, out)
        found |= {os.path.normpath(os.path.join(below, name)) for name in directories + files}
    sockets = {path for path, node in walk(root) if stat.S_ISSOCK(node.mode)}
    assert found | sockets == {path for path, _ in walk(root)} | sockets
    for path, node in walk(root):
        host = os.path.join(out, path)
        if stat.S_ISLNK(node.mode):
            assert os.readlink(host) == node.target
        # fsck.erofs 1.5 fills the holes of chunk tables with what it had in memory.
        if stat.S_ISREG(node.mode) and node.segments is None:
            assert Path(os.fsdecode(host)).read_bytes() == content(node, store), path


@pytest.fixture(scope="module")
def moderate(tmp_path_factory):
    """Python's own library and some noise, as a directory and as nodes."""
    top = tmp_path_factory.mktemp("moderate")
    store, root = Bytes(), directory(0o755)
    library = Path(os.__file__).parent
    files = [path for path in sorted(library.rglob("*.py")) if "-packages" not in str(path)]
    noise = random.Random(3).randbytes
    contents = {path.relative_to(library): path.read_bytes() for path in files}
    contents |= {Path(f"noise/{number}"): noise(37 * number**2) for number in range(1, 60)}
    for path, data in contents.items():
        folder, at = root, top
        for name in path.parent.parts:
            at /= name
            folder = folder.children.setdefault(os.fsencode(name), directory(0o755))
        at.mkdir(parents=True, exist_ok=True)
        (at / path.name).write_bytes(data)
        folder.children[os.fsencode(path.name)] = store.file(data)
    (top / "link").symlink_to("os.py")
    root.children[b"link"] = Node(0o120777, target=b"os.py")
    return top, root, store


@pytest.mark.parametrize(
    ("name", "extent", "room"), [(None, None, 1.02), ("lz4", 65_536, 1.06), ("lz4", 131_072, 1.03)]
)
def test_images_are_about_as_small_as_those_of_mkfs(tmp_path, moderate, name, extent, room):
    """It cuts files where 64 KiB of image are full, which are more than 64 KiB of a file."""
    top, root, store = moderate
    flags = ["-T0", "-Eforce-inode-compact", *(["-zlz4", "-C65536"] if name else [])]
    run("mkfs.erofs", "--quiet", *flags, tmp_path / "theirs", top)
    codec = make_codec(name, extent=extent) if name else None
    ours, _ = make(root, store.read, codec=codec)
    check_image(reading(ours))
    theirs = (tmp_path / "theirs").stat().st_size
    assert len(ours) <= theirs * room, len(ours) / theirs


@pytest.mark.parametrize(
    "flags",
    [
        [], ["-C65536"], ["-C16384", "-zlz4hc,9"], ["-Elegacy-compress"],
        ["-Elegacy-compress", "-C65536"], ["-Elegacy-compress", "-zlz4hc,9"],
    ],
)  # fmt: skip
def test_compressed_images_of_mkfs_are_read(tmp_path, moderate, flags):
    top, root, store = moderate
    run("mkfs.erofs", "--quiet", "-zlz4", *flags, tmp_path / "image", top)
    image = (tmp_path / "image").read_bytes()
    compare_contents(image, root, store)
    one = tmp_path / "one"  # behind large directories it leaves bytes that belong to nothing
    one.mkdir()
    for name in ("os.py", "typing.py", "this.py", "io.py", "enum.py", "noise/9", "noise/50"):
        shutil.copy(top / name, one)
    run("mkfs.erofs", "--quiet", "-zlz4", *flags, tmp_path / "image of one", one)
    check_image(reading((tmp_path / "image of one").read_bytes()))
    tree = ErofsReader(reading(image)).tree(adopt=lambda inode: (Digest.of(b"i"), inode.nid))
    assert set(tree.children) == set(root.children)


@pytest.mark.parametrize("name", [None, "lz4"])
def test_dump_shows_the_superblock(tmp_path, moderate, name):
    _, root, store = moderate
    (tmp_path / "image").write_bytes(make(root, store.read, **options(name))[0])
    shown = run("dump.erofs", "-s", tmp_path / "image")
    assert UUID[:4].hex().encode() in shown
    assert b"big_pcluster" in shown or name is None
    run("fsck.erofs", tmp_path / "image")


@pytest.mark.parametrize("flags", [[], ["-C65536"], ["-Elegacy-compress"]])
def test_mutated_images_of_mkfs_are_read_or_refused(tmp_path, flags):
    top = tmp_path / "top"
    top.mkdir()
    source = random.Random(7)
    (top / "text").write_bytes(b"".join(b"%d of many\n" % number**2 for number in range(9000)))
    (top / "mixed").write_bytes((source.randbytes(9000) + bytes(90_000)) * 3)
    run("mkfs.erofs", "--quiet", "-zlz4", *flags, tmp_path / "image", top)
    image = (tmp_path / "image").read_bytes()
    inodes = [ErofsReader(reading(image)).lookup(name) for name in (b"text", b"mixed")]
    refused = 0
    for _ in range(1500):
        mutant = bytearray(image)
        inode = source.choice(inodes)
        for _ in range(source.choice([1, 1, 3])):
            offset = inode.start + source.randrange(200)
            mutant[offset] = source.choice([0, 0xFF, mutant[offset] ^ 1 << source.randrange(8)])
        reader = ErofsReader(reading(sealed(mutant)))
        try:
            for piece in reader.iter_data(reader.inode(inode.nid)):
                assert len(piece) <= 12 << 20
        except OrlopError:
            refused += 1
    assert refused > 100
