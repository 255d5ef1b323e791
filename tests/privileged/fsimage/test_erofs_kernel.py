import ctypes
import mmap
import os
import stat
from pathlib import Path

import pytest

from orlop.digest import Digest
from orlop.fsimage.erofs import Device, write_index
from orlop.testing.trees import Bytes, content, everything
from orlop.tree import Node, directory, walk

pytestmark = pytest.mark.privileged

UUID = bytes(range(16))
MS_RDONLY, MNT_DETACH = 1, 2
libc = ctypes.CDLL(None, use_errno=True)


def fail():
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


class Mounts:
    def __init__(self, path):
        self.path = path
        self.made = []

    def mount(self, image, devices=()):
        target = self.path / f"mount{len(self.made)}"
        target.mkdir()
        options = ",".join(f"device={device}" for device in devices).encode()
        if libc.mount(bytes(image), bytes(target), b"erofs", MS_RDONLY, options):
            fail()
        self.made.append(target)
        return target

    def close(self):
        for target in self.made:
            if libc.umount2(bytes(target), MNT_DETACH):
                fail()


def file_backed():
    release = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
    return (
        os.geteuid() == 0
        and release >= (6, 12)
        and "erofs" in Path("/proc/filesystems").read_text()
    )


@pytest.fixture
def mounts(tmp_path):
    if not file_backed():
        pytest.skip("mounting an EROFS file needs root and Linux 6.12 with EROFS")
    mounts = Mounts(tmp_path)
    yield mounts
    mounts.close()


def write(path, root, store, **options):
    image, device = path / "image.erofs", path / "layer.tar"
    device.write_bytes(store.data)
    with image.open("wb") as output:
        write_index(
            root, [Device(store.source, store.size)], output,
            uuid=UUID, read=store.read, **options,
        )  # fmt: skip
    return image, device


def facts(path):
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    attributes = {
        os.fsencode(name): os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }
    return (
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        status.st_nlink,
        status.st_rdev,
        status.st_size if kind == stat.S_IFREG else 0,
        os.readlink(path) if kind == stat.S_IFLNK else b"",
        attributes,
    )


def expected(root):
    names = {}
    for path, node in walk(root):
        names.setdefault(id(node), []).append(path)
    links = {}
    for path, node in walk(root):
        subdirectories = sum(child.is_dir for child in (node.children or {}).values())
        links[path] = 2 + subdirectories if node.is_dir else len(names[id(node)])
    return {
        path: (
            node.mode,
            node.uid,
            node.gid,
            node.mtime_ns,
            links[path],
            node.rdev,
            node.size,
            node.target,
            dict(node.xattrs),
        )
        for path, node in walk(root)
    }


def shown(mount):
    top = bytes(mount)
    seen = {b"": facts(top)}
    pending = [b""]
    while pending:
        directory_path = pending.pop()
        with os.scandir(os.path.join(top, directory_path)) as entries:
            for entry in entries:
                path = os.path.join(directory_path, entry.name)
                seen[path] = facts(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
    return seen


@pytest.mark.parametrize("block_bits", [9, 12])
@pytest.mark.parametrize("form", ["flat", "chunk"])
@pytest.mark.parametrize("align", [512, 4096])
def test_linux_shows_the_tree(mounts, tmp_path, form, block_bits, align):
    store = Bytes(align=align)
    root = everything(store)
    image, device = write(tmp_path, root, store, form=form, block_bits=block_bits)
    mount = mounts.mount(image, [device])
    assert shown(mount) == expected(root)
    inodes = {}
    for path, node in walk(root):
        host = os.path.join(bytes(mount), path)
        assert inodes.setdefault(os.lstat(host).st_ino, node) is node
        if node.type == stat.S_IFREG and node.size < 10**8:
            assert Path(os.fsdecode(host)).read_bytes() == content(node, store)


def test_holes_read_as_zeros_far_out(mounts, tmp_path):
    store = Bytes()
    root = everything(store)
    image, device = write(tmp_path, root, store)
    with (mounts.mount(image, [device]) / "hole").open("rb") as stream:
        stream.seek(10**12 - 4096)
        assert stream.read() == bytes(4096)


@pytest.mark.parametrize("block_bits", [9, 12])
def test_every_name_of_a_large_directory_is_found(mounts, tmp_path, block_bits):
    root = directory()
    large = root.children[b"large"] = directory()
    for number in range(30_000):
        name = b"%c%05d" % (b"!-.0~"[number % 5], number)
        large.children[name.ljust(6 + number * 7 % 250, b"x")] = Node(0o100644, mtime_ns=1)
    image, device = write(tmp_path, root, Bytes(), block_bits=block_bits)
    path = bytes(mounts.mount(image, [device])) + b"/large"
    assert sorted(os.listdir(path)) == sorted(large.children)
    handle = os.open(path, os.O_RDONLY)
    try:
        for name in large.children:
            os.stat(name, dir_fd=handle)
        with pytest.raises(FileNotFoundError):
            os.stat(b"absent", dir_fd=handle)
    finally:
        os.close(handle)


@pytest.mark.parametrize("form", ["flat", "chunk"])
def test_content_comes_from_each_of_many_devices(mounts, tmp_path, form):
    root = directory()
    stores = [Bytes(b"layer %d" % number) for number in range(20)]
    for number, store in enumerate(stores):
        if number % 5 == 0:
            store.data.clear()
        else:
            root.children[b"%d" % number] = store.file(b"%d" % number * 1000)
    paths = []
    for number, store in enumerate(stores):
        paths.append(tmp_path / f"layer{number}")
        paths[-1].write_bytes(store.data)
    devices = [Device(store.source, store.size) for store in stores]
    image = tmp_path / "image"
    with image.open("wb") as output:
        written = write_index(root, [*devices, devices[3]], output, uuid=UUID, form=form)
    assert list(written.devices) == devices
    mount = mounts.mount(image, paths)
    for name, node in root.children.items():
        store = next(store for store in stores if store.source == node.source)
        assert (mount / os.fsdecode(name)).read_bytes() == content(node, store)


@pytest.mark.parametrize("form", ["flat", "chunk"])
def test_image_and_devices_in_one_file_need_no_options(mounts, tmp_path, form):
    store = Bytes()
    root = everything(store)
    image, device = write(tmp_path, root, store, form=form)
    disk = tmp_path / "disk"
    disk.write_bytes(image.read_bytes() + device.read_bytes())
    mount = mounts.mount(disk)
    for name in (b"one", b"setuid", b"holes"):
        assert (mount / os.fsdecode(name)).read_bytes() == content(root.children[name], store)


def test_a_device_that_was_cut_short_mounts_and_fails_when_read(mounts, tmp_path):
    store = Bytes()
    root = directory()
    root.children[b"file"] = store.file(b"x" * 8192)
    image, device = write(tmp_path, root, store)
    os.truncate(device, 4096)
    mount = mounts.mount(image, [device])
    with pytest.raises(OSError, match="Input/output error"):
        (mount / "file").read_bytes()


def test_a_tar_with_a_ragged_end_is_read_to_its_last_byte(mounts, tmp_path):
    store = Bytes()
    root = directory()
    file = root.children[b"file"] = store.file(b"y" * 1000)
    del store.data[file.offset + 1000 :]
    image, device = write(tmp_path, root, store)
    mount = mounts.mount(image, [device])
    assert (mount / "file").read_bytes() == b"y" * 1000


def test_trailing_garbage_in_a_device_does_no_harm(mounts, tmp_path):
    store = Bytes()
    root = directory()
    root.children[b"file"] = store.file(b"z" * 700)
    store.data += b"garbage"
    image, device = write(tmp_path, root, store)
    assert (mounts.mount(image, [device]) / "file").read_bytes() == b"z" * 700


@pytest.mark.parametrize("form", ["flat", "chunk"])
def test_files_over_four_gibibytes_are_read(mounts, tmp_path, form):
    size = 5 * 2**30 + 3
    source = Digest.of(b"large")
    root = directory()
    root.children[b"file"] = Node(0o100644, size=size, source=source, offset=1024)
    device, image = tmp_path / "device", tmp_path / "image"
    with device.open("wb") as output:
        output.truncate(1024 + size + 2048)
        output.seek(1024 + size - 3)
        output.write(b"end")
    with image.open("wb") as output:
        write_index(root, [Device(source, device.stat().st_size)], output, uuid=UUID, form=form)
    with (mounts.mount(image, [device]) / "file").open("rb") as stream:
        stream.seek(size - 4)
        assert stream.read() == b"\0end"


def test_the_last_page_can_be_mapped(mounts, tmp_path):
    store = Bytes()
    root = directory()
    root.children[b"file"] = store.file(b"m" * 4100)
    image, device = write(tmp_path, root, store)
    with (
        (mounts.mount(image, [device]) / "file").open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as mapped,
    ):
        assert mapped[:] == b"m" * 4100
