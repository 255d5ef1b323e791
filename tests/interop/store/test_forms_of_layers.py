"""Compression, empty and repeated layers, sparse files: shown as umoci and podman unpack them."""

import os
import subprocess

import pytest

from orlop.storage.mountable import DRIVERS
from support.corners import CASES, MTIME, D, F, O, W, layers_of
from support.images import ImageBuilder, tar
from support.marks import needs_root, needs_tools
from support.views import below, differences, view

pytestmark = [*needs_root, *needs_tools("umoci", "podman")]

SOME = ("whiteout-of-a-directory", "opaque-first", "hard-links", "xattrs", "sizes", "names")
NOTHING = bytes(1024)


@pytest.fixture(scope="module")
def tars():
    return layers_of({name: CASES[name] for name in SOME}, root=[D("./", mtime=1)])


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_compressions(tars, compression, driver, tmp_path, orlop_shows, umoci_shows):
    plain = ImageBuilder("none", tars=tars).write(tmp_path / "plain")
    packed = ImageBuilder(compression, tars=tars).write(tmp_path / "packed")
    ours = orlop_shows(packed.source, driver)
    assert differences(ours.tree, umoci_shows(plain.path)) == []


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_compressions_as_podman_mounts(tars, compression, tmp_path, orlop_shows, podman_shows):
    layout = ImageBuilder(compression, tars=tars[:1]).write(tmp_path)
    ours, theirs = orlop_shows(layout.source).tree, podman_shows(layout.source)
    for case in SOME:
        assert differences(below(ours, case), below(theirs, case)) == []


def test_each_layer_compressed_otherwise(tars, tmp_path, orlop_shows, umoci_shows):
    plain = ImageBuilder("none", tars=tars).write(tmp_path / "plain")
    names = iter(("zstd", "none"))

    def mix(document):
        for layer, how in zip(document["layers"], names, strict=True):
            other = ImageBuilder(how, tars=[tars[document["layers"].index(layer)]])
            layer.update(other.write(tmp_path / "mixed", tag=how).layers[0])

    mixed = ImageBuilder("gzip", tars=tars).write(tmp_path / "mixed", change=mix)
    assert differences(orlop_shows(mixed.source).tree, umoci_shows(plain.path)) == []


BASE = tar(D("./", mtime=1), D("d", mtime=2), F("d/old", b"old", mtime=3), F("f", b"f", mtime=4))
TOP = tar(D("d", mtime=5), W("d/old"), F("d/new", b"new", mtime=6))
HIDING = tar(D("d", mtime=7), O("d"))

STACKS = {
    "nothing-at-all": [NOTHING],
    "nothing-below": [NOTHING, BASE],
    "nothing-between": [BASE, NOTHING, TOP],
    "nothing-above": [BASE, NOTHING],
    "nothing-twice": [BASE, NOTHING, NOTHING, TOP],
    "empty-file": [BASE, b""],
    "twice": [BASE, BASE],
    "twice-with-another-between": [BASE, TOP, BASE],
    "whiteouts-twice": [BASE, TOP, TOP],
    "whiteouts-alone": [TOP],
    "hidden-and-shown-again": [BASE, HIDING, BASE, HIDING, TOP],
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", STACKS)
def test_stacks(name, driver, tmp_path, orlop_shows, umoci_shows):
    layout = ImageBuilder(tars=STACKS[name]).write(tmp_path)
    ours, theirs = orlop_shows(layout.source, driver).tree, umoci_shows(layout.path)
    if BASE not in STACKS[name]:  # the attributes of the first directory are nobody's
        theirs.mtime_ns = ours.mtime_ns
    assert differences(ours, theirs) == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_many_layers(driver, tmp_path, orlop_shows, umoci_shows):
    builder = ImageBuilder().layer(D("./", mtime=1), D("d", mtime=2))
    for number in range(1, 200):
        builder.layer(
            D("d", mtime=number),
            W(f"d/{number - 3}"),
            F(f"d/{number}", b"%d" % number, mtime=number),
            F("changed", b"%d" % number, mtime=number),
        )
    layout = builder.write(tmp_path)
    ours = orlop_shows(layout.source, driver)
    assert ours.driver == driver
    assert list(ours.tree.children[b"d"].children) == [b"197", b"198", b"199"]
    assert differences(ours.tree, umoci_shows(layout.path)) == []


def test_no_layers(tmp_path, orlop_shows):
    for driver in DRIVERS:
        shown = orlop_shows(ImageBuilder().write(tmp_path / driver).source, driver)
        assert shown.tree.children == {}


@pytest.fixture(scope="module")
def holes(tmp_path_factory):
    """A directory of sparse files."""
    path = tmp_path_factory.mktemp("holes")
    for name, size, pieces in (
        ("hole", 1 << 20, []),
        ("start", 300_000, [(0, b"s" * 5000)]),
        ("end", 300_000, [(299_000, b"e" * 1000)]),
        ("many", 4 << 20, [(number << 16, b"m" * 4096) for number in range(64)]),
        ("odd", 1_234_567, [(65_536, b"o" * 4097), (1_000_000, b"p")]),
    ):
        with open(path / name, "wb") as sparse:
            sparse.truncate(size)
            for offset, data in pieces:
                os.pwrite(sparse.fileno(), data, offset)
        os.utime(path / name, (MTIME, MTIME))
    os.utime(path, (MTIME, MTIME))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("form", ["gnu", "0.0", "0.1", "1.0"])
def test_sparse_files_as_gnu_tar_read_them(form, holes, tmp_path, orlop_shows):
    options = ["--format=gnu"] if form == "gnu" else ["--format=pax", f"--sparse-version={form}"]
    command = ["tar", "--sparse", *options, "--numeric-owner", "-C", holes, "-cf", "-", "."]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(packed) < 1 << 20, "nothing is sparse"
    layout = ImageBuilder(tars=[packed]).write(tmp_path)
    stored = []

    def count_blocks(store, image, root):
        stored.append(sum(os.stat(root / name).st_blocks for name in os.listdir(holes)))

    theirs = view(holes)
    for driver in DRIVERS:
        ours = orlop_shows(layout.source, driver, check=count_blocks).tree
        assert differences(ours, theirs) == []
    assert max(stored[1:]) * 512 < 2 << 20, "the holes were written out"
