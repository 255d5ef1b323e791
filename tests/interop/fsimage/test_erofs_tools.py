import os
import shutil
import subprocess

import pytest

from orlop.digest import Digest
from orlop.errors import UnsupportedError
from orlop.fsimage.erofs import Device, ErofsReader, check_image, write_index
from orlop.fsimage.erofs.format import Layout
from orlop.testing.trees import Bytes, everything
from orlop.tree import walk

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("fsck.erofs") is None, reason="needs erofs-utils"),
]


def run(*command):
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Image:
    def __init__(self, path):
        self.handle = os.open(path, os.O_RDONLY)

    def __call__(self, offset, size):
        return os.pread(self.handle, size, offset)

    def close(self):
        os.close(self.handle)


@pytest.fixture
def opened():
    images = []

    def open_image(path):
        images.append(Image(path))
        return images[-1]

    yield open_image
    for image in images:
        image.close()


def write(path, store, root, **options):
    image, device = path / "image.erofs", path / "layer.tar"
    device.write_bytes(store.data)
    with image.open("wb") as output:
        write_index(
            root, [Device(store.source, store.size)], output,
            uuid=bytes(range(16)), block_bits=12, read=store.read, **options,
        )  # fmt: skip
    return image, device


@pytest.mark.parametrize("align", [512, 4096])
def test_fsck_passes_the_chunk_form(tmp_path, align):
    store = Bytes(align=align)
    root = everything(store)
    del root.children[b"hole"]  # fsck reads a terabyte of zeros
    image, device = write(tmp_path, store, root, form="chunk")
    output = run("fsck.erofs", f"--device={device}", image)
    assert b"No errors found" in output or not output


def test_fsck_extracts_what_was_written(tmp_path):
    store = Bytes(align=4096)
    root = everything(store)
    for name in (b"hole", b"end hole", b"char", b"null", b"block", b"socket"):
        del root.children[name]
    image, device = write(tmp_path, store, root, form="chunk")
    run("fsck.erofs", f"--extract={tmp_path / 'out'}", f"--device={device}", image)
    out = os.fsencode(tmp_path / "out")
    for path, node in walk(root):
        status = os.lstat(os.path.join(out, path))
        assert status.st_mode & 0o170000 == node.type
        if node.source is not None and node.segments is None:
            with open(os.path.join(out, path), "rb") as stream:
                assert stream.read() == store.read(node.source, node.offset, node.size)


def test_dump_shows_the_superblock(tmp_path):
    store = Bytes(align=4096)
    image, device = write(tmp_path, store, everything(store), form="chunk")
    shown = run("dump.erofs", "-s", f"--device={device}", image)
    assert b"00010203-0405-0607-0809-0a0b0c0d0e0f" in shown
    assert b"device_table" in shown


@pytest.fixture
def made(tmp_path):
    top = tmp_path / "tree"
    (top / "sub").mkdir(parents=True)
    (top / "empty").write_bytes(b"")
    (top / "short").write_bytes(b"short")
    (top / "block").write_bytes(os.urandom(4096))
    (top / "tail").write_bytes(os.urandom(100_000))
    (top / "holes").write_bytes(b"h" * 4096 + bytes(40_960) + b"e")
    (top / "sub" / "link").symlink_to("../short")
    os.link(top / "tail", top / "sub" / "again")
    os.mkfifo(top / "pipe")
    for number in range(400):
        (top / "sub" / f"name-{number}").write_text(str(number))
    for name in ("short", "tail"):
        os.setxattr(top / name, "user.shared", b"same value")
    os.setxattr(top / "tail", "user.own", b"v" * 500)
    return top


def compare(reader, top):
    for directory_path, directories, files in os.walk(os.fsencode(top)):
        for name in directories + files:
            host = os.path.join(directory_path, name)
            inode = reader.lookup(os.path.relpath(host, os.fsencode(top)), follow=False)
            status = os.lstat(host)
            assert (inode.mode, inode.uid, inode.gid) == (
                status.st_mode, status.st_uid, status.st_gid,
            )  # fmt: skip
            if inode.is_link:
                assert reader.readlink(inode) == os.readlink(host)
                continue
            assert reader.xattrs(inode) == {
                os.fsencode(key): os.getxattr(host, key) for key in os.listxattr(host)
            }
            if os.path.isfile(host):
                with open(host, "rb") as stream:
                    assert reader.open(inode).read() == stream.read()


@pytest.mark.parametrize(
    "options", [[], ["-Enoinline_data"], ["-Eforce-inode-compact"], ["--chunksize=4096"]]
)
def test_images_of_mkfs_are_read_and_pass_the_check(tmp_path, made, opened, options):
    run("mkfs.erofs", *options, tmp_path / "image", made)
    image = opened(tmp_path / "image")
    check_image(image)
    reader = ErofsReader(image)
    compare(reader, made)
    top = reader.tree(adopt=lambda inode: (Digest.of(b"image"), inode.nid))
    assert set(top.children) == {os.fsencode(name) for name in os.listdir(made)}
    assert top.children[b"tail"] is top.children[b"sub"].children[b"again"]


def test_images_of_mkfs_with_a_device_are_read(tmp_path, made, opened):
    blob = tmp_path / "blob"
    run("mkfs.erofs", "--chunksize=4096", f"--blobdev={blob}", tmp_path / "image", made)
    compare(ErofsReader(opened(tmp_path / "image"), [opened(blob)]), made)


def test_compressed_files_are_read(tmp_path, made, opened):
    (made / "zeros").write_bytes(bytes(200_000))
    (made / "text").write_bytes(b"".join(b"%d of many\n" % number**2 for number in range(30_000)))
    run("mkfs.erofs", "-zlz4", tmp_path / "image", made)
    reader = ErofsReader(opened(tmp_path / "image"))
    assert reader.lookup(b"zeros").layout == Layout.COMPRESSED_COMPACT
    compare(reader, made)


def test_ends_of_compressed_files_beside_inodes_are_refused_by_name(tmp_path, made, opened):
    (made / "text").write_bytes(b"".join(b"%d of many\n" % number**2 for number in range(30_000)))
    run("mkfs.erofs", "-zlz4", "-Eztailpacking", tmp_path / "image", made)
    reader = ErofsReader(opened(tmp_path / "image"))
    assert b"".join(reader.iter_data(reader.lookup(b"short"))) == b"short"
    with pytest.raises(UnsupportedError, match="compressed in an unknown way"):
        reader.open(reader.lookup(b"text"))
