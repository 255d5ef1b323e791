"""What is listed, stated and read without a mount is what the mount shows, in every driver."""

import io
import json
import os
import random
from contextlib import redirect_stdout

import pytest

import orlop
from orlop.cli.main import main
from orlop.storage.mountable import DRIVERS
from orlop.tree import walk
from orlop.tree.dump import describe
from orlop.tree.node import S_IFREG
from support.corners import CASES, D, layers_of
from support.images import ImageBuilder
from support.marks import needs_root, needs_tools
from support.views import view

pytestmark = needs_root

SAMPLE = 200


@pytest.fixture(scope="module")
def corners(tmp_path_factory):
    tars = layers_of(CASES, root=[D("./", 0o711, uid=3, mtime=1)])
    return ImageBuilder(tars=tars).write(tmp_path_factory.mktemp("reader")).source


@pytest.fixture(
    scope="module",
    params=[
        "corners",
        pytest.param("debian_min", marks=[pytest.mark.slow, *needs_tools("debootstrap")]),
    ],
)
def source(request):
    found = request.getfixturevalue(request.param)
    return found if isinstance(found, str) else f"oci:{found}:latest"


@pytest.fixture(scope="module", params=DRIVERS)
def opened(request, source, tmp_path_factory):
    """A store, the image in it, and the driver."""
    place = tmp_path_factory.mktemp(request.param)
    with orlop.open_store(place / "root", place / "run") as store:
        yield store, store.pull(source, driver=request.param), request.param


def listed(files):
    """All that is in an image, by path."""
    found, pending = {b"": files.stat(b"/")}, [b""]
    while pending:
        here = pending.pop()
        for name, node in files.list(here or b"/"):
            path = here + b"/" + name if here else name
            found[path] = node
            if node.is_dir:
                pending.append(path)
    return found


def test_the_reader_sees_what_the_mount_shows(opened):
    _, image, driver = opened
    with image.files() as files:
        before = {path: describe(node) for path, node in listed(files).items()}
    with image.mount(driver=driver) as root:
        mounted = dict(walk(view(root)))
        with image.files() as files:
            nodes = listed(files)
            sample = sample_of(mounted)
            contents = {path: read(files, path) for path in sample}
        assert contents == {path: (root / os.fsdecode(path)).read_bytes() for path in sample}
    expected = {path: describe(node) for path, node in mounted.items()}
    assert before == expected
    assert {path: describe(node) for path, node in nodes.items()} == expected


def sample_of(mounted):
    """The paths of some regular files."""
    paths = [path for path, node in mounted.items() if node.type == S_IFREG]
    return random.Random(0).sample(paths, min(len(paths), SAMPLE))


def read(files, path):
    with files.open(path) as file:
        return file.read()


def run(store, *arguments):
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with redirect_stdout(out):
        code = main(["--root", str(store.root), "--run", str(store.run), *arguments])
    assert code == 0
    return out.buffer.getvalue().decode()


def test_ls_lists_what_the_mount_shows(opened):
    store, image, driver = opened
    with image.mount(driver=driver) as root:
        mounted = dict(walk(view(root)))
    del mounted[b""]
    documents = json.loads(run(store, "ls", image.name, "-R", "--format", "json"))
    assert len(documents) == len(mounted)
    by_name = {document["name"]: document for document in documents}
    for path, node in mounted.items():
        try:
            document = by_name[path.decode()]
        except UnicodeDecodeError:
            continue
        assert document["mode"] == f"{node.mode & 0o7777:04o}"
        owner_time_size = document["uid"], document["gid"], document["mtime_ns"], document["size"]
        assert owner_time_size == (node.uid, node.gid, node.mtime_ns, node.size)
    assert len(run(store, "ls", image.name, "-R").splitlines()) == len(mounted)
