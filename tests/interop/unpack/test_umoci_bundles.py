"""Directories of umoci repacked by orlop, and what both note of owners for users without privilege.

Of the image that orlop makes, umoci has to unpack what was in the directory.
"""

import os
import stat

import pytest

import orlop
from orlop.tree import walk
from support.images import (
    ImageBuilder,
    device,
    directory,
    fifo,
    file,
    hardlink,
    symlink,
)
from support.marks import needs_root, needs_tools
from support.nobody import NOBODY, as_nobody, unprivileged_place
from support.peers import run, umoci_unpack
from support.views import differences, view

pytestmark = [*needs_tools("umoci"), *needs_root]


def image(place):
    builder = ImageBuilder()
    builder.layer(
        directory("./", mode=0o755, mtime=7),
        directory("etc", uid=3, gid=4, mtime=1_600_000_000),
        file("etc/motd", b"hi\n", uid=33, gid=70_000, mtime=1_600_000_001),
        file("etc/shadow", b"s", mode=0, uid=0, gid=42, mtime=5),
        directory("closed", mode=0, uid=1, mtime=5), file("closed/inside", b"i", mtime=5),
        file("ping", b"p", mode=0o4755, mtime=5, pax_headers={"SCHILY.xattr.user.n": "note"}),
        symlink("link", "etc/motd", uid=5, gid=6, mtime=5), fifo("fifo", uid=9, mtime=5),
        device("null", 1, 3, mode=0o666, uid=8, mtime=5), hardlink("other", "ping"),
    )  # fmt: skip
    return builder.write(place / "layout")


def umoci_bundle(layout, target, *options, **more):
    run(
        "umoci", "unpack", *options, "--image", f"{layout.path}:{layout.tag}", target, **more
    )  # fmt: skip
    return target


def edit(rootfs):
    (rootfs / "etc/new").write_bytes(b"n")
    (rootfs / "etc/motd").write_bytes(b"ho\n")
    (rootfs / "link").unlink()


def test_a_directory_of_umoci_s(tmp_path):
    layout = image(tmp_path)
    bundle = umoci_bundle(layout, tmp_path / "bundle")
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        store.pull(layout.source, tag="base")
        assert store.repack(bundle, "same").layer is None
        edit(bundle / "rootfs")
        made = store.repack(bundle, "changed")
        paths = {entry.path for entry in store.storage.forms.changeset(made.layer).entries()}
        assert paths == {b"", b"etc", b"etc/new", b"etc/motd", b"link"}
        orlop.copy("store:changed", f"oci:{tmp_path}/out:new", store=store)
    found = umoci_unpack(tmp_path / "out", "new", tmp_path / "again")
    assert differences(view(bundle / "rootfs"), view(found)) == []


def test_without_privilege_both_write_the_same(tmp_path):
    """To the byte: owners in xattrs, devices as files, what nobody may enter."""
    layout = image(tmp_path)
    with unprivileged_place() as place:
        _unpack_both(layout, place)
        ours, theirs = view(place / "ours/rootfs"), view(place / "theirs/rootfs")
    # umoci does not get the attribute onto directories that it may not write to any more.
    for _, node in (*walk(ours), *walk(theirs)):
        if not node.mode & stat.S_IWUSR:
            node.xattrs = {}
    assert differences(ours, theirs) == []


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_without_privilege_nothing_is_lost(tmp_path, whose):
    layout = image(tmp_path)
    with unprivileged_place() as place:
        _unpack_both(layout, place)
        rootfs = place / whose / "rootfs"
        assert as_nobody(_repack, place, whose, "same") is None
        as_nobody(edit, rootfs)
        assert as_nobody(_repack, place, whose, "changed") is not None
        assert stat.S_IMODE((rootfs / "closed").stat().st_mode) == 0
        with orlop.open_store(place / "root", place / "run") as store:
            before = store.storage.chains.tree(store.image("base")._stack)
            after = store.storage.chains.tree(store.image("changed")._stack)
    old, new = dict(walk(before)), dict(walk(after))
    assert new.keys() - old.keys() == {b"etc/new"}
    assert old.keys() - new.keys() == {b"link"}
    assert (new[b"etc/new"].uid, new[b"etc/new"].gid) == (0, 0)
    for path in new.keys() & old.keys() - {b"", b"etc"}:
        was, found = old[path], new[path]
        assert (found.mode, found.uid, found.gid, found.rdev, dict(found.xattrs)) == (
            was.mode, was.uid, was.gid, was.rdev, dict(was.xattrs),
        ), path  # fmt: skip
    assert (new[b"etc"].uid, new[b"etc"].gid) == (3, 4)


def _unpack_both(layout, place):
    for path in (layout.path, layout.path.parent):
        os.chmod(path, 0o755)
    run("cp", "-r", layout.path, place / "layout")
    run("chown", "-R", f"{NOBODY}:{NOBODY}", place / "layout")
    as_nobody(_unpack_ours, place, layout.tag)
    layout.path = place / "layout"
    umoci_bundle(layout, place / "theirs", "--rootless", user=NOBODY, group=NOBODY, extra_groups=[])


def _unpack_ours(place, tag):
    os.umask(0o022)
    with orlop.open_store(place / "root", place / "run") as store:
        store.pull(f"oci:{place}/layout:{tag}", tag="base").unpack(place / "ours")


def _repack(place, whose, name):
    with orlop.open_store(place / "root", place / "run") as store:
        return store.repack(place / whose, name).layer
