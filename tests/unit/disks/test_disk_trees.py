"""Which trees the disks of an image show, and that an overlay of them is the image."""

from copy import copy

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given

from orlop.digest import Digest
from orlop.disks.trees import iter_trees, layer_slices, merged_slice
from orlop.errors import InvalidLayerError, NeedsParentsError, OrlopError
from orlop.storage.chains import Stack
from orlop.tree import (
    ChangesetEncoder,
    EncodedChangeset,
    Link,
    Merger,
    Node,
    Opaque,
    Put,
    Whiteout,
    dump,
    walk,
)
from orlop.tree.node import S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG

DATA = b"abcd" * 4 + b"efgh"
SOURCE = Digest.of(b"any layer")
MARK = b"trusted.overlay."


class Layers:
    """Changesets in memory, as a store of forms gives them."""

    def __init__(self, layers):
        self.data = {}
        self.diff_ids = []
        for number, entries in enumerate(layers):
            encoder = ChangesetEncoder()
            encoder.add(entries)
            self.diff_ids.append(Digest.of(b"layer %d" % number))
            self.data[self.diff_ids[-1]] = encoder.encode()

    def changeset(self, diff_id):
        return EncodedChangeset(self.data[diff_id], diff_id)

    @property
    def stack(self):
        return Stack.of(self.diff_ids)

    def merged(self):
        merger = Merger()
        for diff_id in self.diff_ids:
            changeset = self.changeset(diff_id)
            merger.apply(changeset.removals(), changeset.additions())
        return merger.root


def read(source, offset, size):
    return DATA[offset : offset + size]


def overlay(trees):
    """What overlay shows of trees, the lowest first.

    Spec: Linux, filesystems/overlayfs.rst, "Upper and Lower", "whiteouts and opaque directories".
    """
    shown = {}

    def as_shown(disk, node):
        """What of a disk is seen; the inodes of two disks are two, if of one `Node`."""
        if (disk, node) not in shown:
            shown[disk, node] = seen = copy(node)
            seen.xattrs = {
                name.replace(MARK + b"overlay.", MARK): value
                for name, value in node.xattrs.items()
                if not name.startswith(MARK) or name.startswith(MARK + b"overlay.")
            }
        return shown[disk, node]

    def join(folders):
        """Directories of one path, the topmost first, each with its disk."""
        root = as_shown(*folders[0])
        root.children = {}
        for name in {name for _, folder in folders for name in folder.children}:
            found = []
            for disk, folder in folders:
                node = folder.children.get(name)
                if node is None:
                    continue
                if not node.is_dir:
                    if not found and not (node.type == S_IFCHR and node.rdev == 0):
                        root.children[name] = as_shown(disk, node)
                    break
                found.append((disk, node))
                if node.xattrs.get(MARK + b"opaque") == b"y":
                    break
            if found:
                root.children[name] = join(found)
        return root

    return join([*enumerate(trees)][::-1])


NAMES = st.sampled_from([b"a", b"b", b"c"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
XATTRS = st.dictionaries(
    st.sampled_from([b"user.a", MARK + b"opaque", MARK + b"redirect", MARK + b"overlay.x"]),
    st.sampled_from([b"y", b"/a"]),
    max_size=2,
)


@st.composite
def nodes(draw):
    kind = draw(st.sampled_from([S_IFDIR, S_IFDIR, S_IFREG, S_IFREG, S_IFLNK, S_IFCHR]))
    node = Node(
        kind | draw(st.sampled_from([0o755, 0o700])), draw(st.integers(0, 1)), 0,
        draw(st.integers(0, 1)), xattrs=draw(XATTRS),
    )  # fmt: skip
    if kind == S_IFLNK:
        node.target = draw(st.sampled_from([b"a", b"../b", b"/c/a"]))
    elif kind == S_IFCHR:
        node.rdev = draw(st.integers(1, 2))
    elif kind == S_IFREG:
        node.size = draw(st.integers(0, 4))
        if node.size and draw(st.booleans()):
            node.source, node.offset = SOURCE, draw(st.sampled_from([0, 4, 16]))
    return node


@st.composite
def entries(draw):
    kind = draw(st.sampled_from(["put"] * 4 + ["root", "link", "whiteout", "opaque"]))
    if kind == "root":
        return Put(b"", Node(S_IFDIR | 0o711, draw(st.integers(0, 3)), xattrs=draw(XATTRS)))
    path = draw(PATHS)
    if kind == "link":
        return Link(path, draw(PATHS))
    if kind == "whiteout":
        return Whiteout(path)
    return Opaque(path) if kind == "opaque" else Put(path, draw(nodes()))


LAYERS = st.lists(st.lists(entries(), max_size=8), min_size=1, max_size=5)


def contents(root):
    return {
        path: read(node.source, node.offset, node.size) if node.source else bytes(node.size)
        for path, node in walk(root)
        if node.type == S_IFREG
    }


@given(LAYERS, st.none() | st.integers(1, 4))
def test_an_overlay_of_the_disks_is_the_merged_tree(layers, most):
    """The image's own marks are there again, and neither hide nor show anything."""
    forms = Layers(layers)
    try:
        merged = forms.merged()
    except OrlopError:
        assume(False)
    trees = list(iter_trees(layer_slices(forms.stack, most), forms, read))
    assert len(trees) == min(len(layers), most or len(layers))
    shown = overlay(trees)
    assert dump(shown) == dump(merged)
    assert contents(shown) == contents(merged)


@given(LAYERS)
def test_trees_stay_as_they_were_when_the_next_one_is_asked_for(layers):
    forms = Layers(layers)
    try:
        forms.merged()
    except OrlopError:
        assume(False)
    dumps, trees = [], []
    for tree in iter_trees(layer_slices(forms.stack), forms, read):
        trees.append(tree)
        dumps.append(dump(tree, data=True))
    assert [dump(tree, data=True) for tree in trees] == dumps


@given(LAYERS)
def test_the_merged_disk_is_the_image_as_it_is(layers):
    forms = Layers(layers)
    try:
        merged = forms.merged()
    except OrlopError:
        assume(False)
    (tree,) = iter_trees([merged_slice(forms.stack)], forms, read, overlay=False)
    assert dump(tree, data=True) == dump(merged, data=True)


def marked(path=b"f"):
    return Put(path, Node(S_IFREG | 0o644, xattrs={MARK + b"metacopy": b""}))


@pytest.mark.parametrize("count", [1, 2])
def test_marks_of_the_base_are_escaped_in_whatever_is_joined_by_overlay(count):
    """A single layer, too: the machine lays its own directory over it."""
    forms = Layers([[marked(), Link(b"g", b"f")], [marked(b"h")]][:count])
    base = next(iter_trees(layer_slices(forms.stack), forms, read))
    assert base.children[b"f"].xattrs == {MARK + b"overlay.metacopy": b""}
    assert base.children[b"g"] is base.children[b"f"]


def again(*layers, path=b"f"):
    """Layers of which each has the file, whose content is the same in the first two."""
    file = [Put(path, Node(S_IFREG | 0o644, size=4, source=SOURCE, offset=at)) for at in (0, 4, 16)]
    return Layers([[*above, each] for above, each in zip(layers, file, strict=True)])


def test_a_layer_that_stands_alone_is_taken_as_it_is():
    """What it has again is in its disk again: so nothing need be known of the layers below."""
    forms = again([], [], [])
    trees = list(iter_trees(layer_slices(forms.stack), forms, read))
    assert [len(tree.children) for tree in trees] == [1, 1, 1]


def test_of_a_layer_that_needs_those_below_there_is_what_it_changes():
    """Only the first says what the directory is that the others have a file in."""
    parent = Put(b"d", Node(S_IFDIR | 0o700))
    forms = again([parent], [], [], path=b"d/f")
    trees = list(iter_trees(layer_slices(forms.stack), forms, read))
    assert [list(tree.children) for tree in trees] == [[b"d"], [], [b"d"]]
    assert all(tree.children[b"d"].mode == S_IFDIR | 0o700 for tree in (trees[0], trees[2]))


def test_a_device_that_is_a_whiteout_for_overlay_is_refused():
    forms = Layers([[], [Put(b"null", Node(S_IFCHR | 0o600))]])
    with pytest.raises(NeedsParentsError, match="/null is a device 0:0"):
        list(iter_trees(layer_slices(forms.stack), forms, read))


def test_what_does_not_fit_names_its_layer():
    forms = Layers([[], [Link(b"a", b"nothing")]])
    with pytest.raises(InvalidLayerError, match=f"layer {forms.diff_ids[1]}: .*nothing"):
        list(iter_trees(layer_slices(forms.stack), forms, read))


@pytest.mark.parametrize(
    ("count", "most", "parts"),
    [
        (1, None, [1]),
        (3, None, [1, 1, 1]),
        (3, 3, [1, 1, 1]),
        (3, 9, [1, 1, 1]),
        (3, 2, [2, 1]),
        (3, 1, [3]),
        (0, None, [0]),
        (0, 1, [0]),
        (127, None, [1] * 127),
        (127, 16, [112] + [1] * 15),
    ],
)
def test_layers_are_parted(count, most, parts):
    stack = Stack.of([Digest.of(b"%d" % number) for number in range(count)])
    slices = layer_slices(stack, most)
    assert [len(each.diff_ids) for each in slices] == parts
    assert sum((each.diff_ids for each in slices), ()) == stack.diff_ids
    assert [each.stack.diff_ids for each in slices] == [
        stack.diff_ids[: sum(parts[: at + 1])] for at in range(len(parts))
    ]


def test_what_shows_the_same_has_the_same_key():
    one, two, three = (Digest.of(name) for name in (b"1", b"2", b"3"))
    short, long = Stack.of([one, two]), Stack.of([one, two, three])
    assert merged_slice(short).key == layer_slices(long, 2)[0].key
    keys = [each.key for each in (*layer_slices(long), *layer_slices(short), merged_slice(short))]
    assert len(set(keys)) == 4, "of three layers, and of two as one"
