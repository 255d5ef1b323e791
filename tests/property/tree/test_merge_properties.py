import hypothesis.strategies as st
from hypothesis import given

from orlop.digest import Digest
from orlop.errors import OrlopError
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
    merge,
    split,
    walk,
)
from orlop.tree.node import S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG

LAYER = Digest.of(b"layer")
NAMES = st.sampled_from([b"a", b"b", b"c"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)


@st.composite
def plain_entries(draw):
    """Entries without symbolic and hard links, whose meaning a dictionary can model."""
    path = draw(PATHS)
    kind = draw(st.sampled_from(["dir", "file", "file", "whiteout", "opaque"]))
    if kind == "whiteout":
        return Whiteout(path)
    if kind == "opaque":
        return Opaque(path)
    mode = (S_IFDIR if kind == "dir" else S_IFREG) | 0o700
    return Put(path, Node(mode, uid=draw(st.integers(0, 9))))


LAYERS = st.lists(st.lists(plain_entries(), max_size=8), max_size=4)


def model(layers):
    """What the layers make, as paths with type and owner: the image-spec's rules, naively."""
    tree = {}

    def remove(path, *, itself=True):
        for known in list(tree):
            if known.startswith(path + b"/") or (itself and known == path):
                del tree[known]

    for layer in layers:
        for entry in layer:
            if isinstance(entry, Whiteout):
                remove(entry.path)
            elif isinstance(entry, Opaque):
                remove(entry.path, itself=False)
        for entry in layer:
            if not isinstance(entry, Put):
                continue
            parts = entry.path.split(b"/")
            for depth in range(1, len(parts)):
                parent = b"/".join(parts[:depth])
                if tree.get(parent, ("", 0))[0] != "d":
                    tree[parent] = ("d", 0)
            if not entry.node.is_dir:
                remove(entry.path)
            tree[entry.path] = ("d" if entry.node.is_dir else "f", entry.node.uid)
    return tree


def found(root):
    return {path: ("d" if node.is_dir else "f", node.uid) for path, node in walk(root) if path}


@given(LAYERS)
def test_layers_are_applied_in_stack_order(layers):
    """Layers are stacked on top of each other; changes of a higher one replace those below."""
    expected = model(layers)
    assert found(merge(*layers)) == expected


@given(LAYERS, st.randoms(use_true_random=False))
def test_whiteouts_mean_the_same_wherever_they_stand(layers, random):
    """Files that are present in the same layer as a whiteout file can only be hidden by whiteout
    files in subsequent layers."""
    shuffled = []
    for layer in layers:
        removals, additions = split(layer)
        mixed = list(additions)
        for removal in removals:
            mixed.insert(random.randint(0, len(mixed)), removal)
        shuffled.append(mixed)
    # Nodes become part of the tree they are applied to, so each merge gets its own.
    expected = dump(merge(*[copies(layer) for layer in layers]))
    assert dump(merge(*[copies(layer) for layer in shuffled])) == expected


@st.composite
def any_entries(draw):
    path = draw(PATHS)
    kind = draw(st.sampled_from(["plain", "link", "symlink", "device"]))
    if kind == "plain":
        return draw(plain_entries())
    if kind == "link":
        return Link(path, draw(PATHS))
    if kind == "symlink":
        target = draw(st.sampled_from([b"a", b"../b", b"/c/a", b"../../..", b"", b"a/../c"]))
        return Put(path, Node(S_IFLNK | 0o777, target=target))
    return Put(path, Node(S_IFCHR | 0o600, rdev=draw(st.integers(0, 99))))


def copies(layer):
    encoder = ChangesetEncoder()
    encoder.add(layer)
    return list(EncodedChangeset(encoder.encode(), LAYER).entries())


@given(st.lists(st.lists(any_entries(), max_size=8), max_size=4))
def test_a_kept_changeset_does_what_the_entries_did(layers):
    """Whatever a layer does, or is refused for, its kept changeset does too."""
    assert outcome([copies(layer) for layer in layers]) == outcome(layers)


def outcome(layers):
    merger = Merger()
    try:
        for layer in layers:
            merger.apply(*split(layer))
    except OrlopError as error:
        return type(error), str(error)
    return dump(merger.root)


@given(st.lists(st.lists(any_entries(), max_size=8), max_size=3))
def test_directories_have_one_name(layers):
    """A tree stays a tree: no directory hangs in two places, whatever links a layer holds."""
    merger = Merger()
    try:
        for layer in layers:
            merger.apply(*split(layer))
    except ValueError:
        return
    directories = [id(node) for _, node in walk(merger.root) if node.is_dir]
    assert len(directories) == len(set(directories))
