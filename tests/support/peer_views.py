"""Images of directories that were changed at random, and how peers show what is in them."""

from __future__ import annotations

from dataclasses import replace

from orlop.testing.storage.powers import Powers
from orlop.tree import walk
from support.images import ImageBuilder
from support.peers import run
from support.views import changed

ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")


def powers():
    """All that this process may, but what overlay keeps for itself: so do the peers that use it."""
    found = Powers.of_this_process()
    kept = {name: values for name, values in found.xattrs.items() if "overlay" not in name}
    return replace(found, xattrs=kept)


def without_lists(found):
    """The powers without access control lists, of which GNU tar speaks in words of its own."""
    kept = {name: values for name, values in found.xattrs.items() if "acl" not in name}
    return replace(found, xattrs=kept, default_acls=())


def image_of(path, place):
    """The source of an image with one layer, which GNU tar makes of a directory."""
    options = ["--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=*"]
    run("tar", "-C", path, *options, "-cf", place / "base.tar", ".")
    builder = ImageBuilder()
    builder.raw_layer((place / "base.tar").read_bytes())
    return builder.write(place / "base").source


def since_1970(_, node):
    """containerd makes 1970 of every time before."""
    node.mtime_ns = max(node.mtime_ns, 0)


def since_1970_but_links(_, node):
    """podman does so too, but for symbolic links."""
    if not node.target:
        node.mtime_ns = max(node.mtime_ns, 0)


def without_empty_values(_, node):
    """umoci and podman take an empty value for none, as POSIX has it of other pax records."""
    for name in [name for name, value in node.xattrs.items() if not value]:
        del node.xattrs[name]


def without_trusted(_, node):
    """containerd leaves these attributes out, which only root sees."""
    for name in [name for name in node.xattrs if name.startswith(b"trusted.")]:
        del node.xattrs[name]


def without_inherited_lists(ours, theirs):
    """What a peer shows without the access control lists that no entry has.

    podman and containerd leave them to what was made where a list is inherited. "Where supported,
    MUST include file attributes": those of the entry, and no others (image-spec, layer.md).
    """
    entries = dict(walk(ours))

    def drop(path, node):
        for name in ACLS:
            if path in entries and name not in entries[path].xattrs:
                node.xattrs.pop(name, None)

    return changed(theirs, drop)
