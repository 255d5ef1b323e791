"""What turns one tree into another, for random pairs of trees that have much in common."""

import hypothesis.strategies as st
from hypothesis import given, settings

from orlop.digest import Digest
from orlop.tree import (
    Link,
    Node,
    Opaque,
    Put,
    Whiteout,
    difference,
    directory,
    dump,
    iter_changes,
    iter_differences,
    merge,
    walk,
)
from orlop.tree.node import S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG

SOURCES = [Digest.of(b"one"), Digest.of(b"two")]
NAMES = st.sampled_from([b"a", b"b", b"c"])
PATHS = st.lists(NAMES, min_size=1, max_size=4)
ATTRIBUTES = st.sampled_from(
    [{}, {}, {}, {"uid": 7}, {"mtime_ns": 5}, {"xattrs": {b"user.a": b""}}]
)


@st.composite
def inodes(draw):
    kind = draw(st.sampled_from([S_IFREG, S_IFREG, S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR]))
    fields = dict(draw(ATTRIBUTES))
    if kind == S_IFREG and (size := draw(st.sampled_from([0, 1, 1, 2]))):
        fields |= {"size": size, "source": draw(st.sampled_from(SOURCES))}
    elif kind == S_IFLNK:
        fields["target"] = draw(st.sampled_from([b"a", b"/b/c"]))
    elif kind == S_IFCHR:
        fields["rdev"] = draw(st.sampled_from([1, 2]))
    return kind | 0o755, fields


STEPS = st.one_of(
    st.tuples(st.just("put"), PATHS, inodes()),
    st.tuples(st.just("put"), PATHS, inodes()),
    st.tuples(st.just("link"), PATHS, PATHS),
    st.tuples(st.just("split"), PATHS),
    st.tuples(st.just("remove"), PATHS),
)
BUILDING = st.lists(st.tuples(st.just("put"), PATHS, inodes()) | STEPS, min_size=3, max_size=20)


def apply(root, steps):
    """Change a tree as a user would; what cannot be done is left."""
    for name, path, *arguments in steps:
        parent = walk_to(root, path[:-1], make=name == "put")
        if parent is not None:
            _STEPS[name](root, parent, path[-1], *arguments)
    return root


def walk_to(root, parts, *, make=False):
    for name in parts:
        if make and name not in root.children:
            root.children[name] = directory()
        root = root.children.get(name)
        if root is None or not root.is_dir:
            return None
    return root


def put(root, parent, name, inode):
    mode, fields = inode
    if parent.children.get(name) is None or not parent.children[name].is_dir:
        parent.children[name] = Node(mode, **fields)


def link(root, parent, name, target):
    place = walk_to(root, target[:-1])
    node = place.children.get(target[-1]) if place else None
    if node is not None and not node.is_dir:
        parent.children[name] = node


def split(root, parent, name):
    """Give a name an inode of its own, which is no other."""
    node = parent.children.get(name)
    if node is not None and not node.is_dir:
        parent.children[name] = twin(node)


def remove(root, parent, name):
    parent.children.pop(name, None)


_STEPS = {"put": put, "link": link, "split": split, "remove": remove}


def twin(node):
    return Node(
        node.mode, node.uid, node.gid, node.mtime_ns, node.size, node.rdev, node.target,
        dict(node.xattrs), node.source,
    )  # fmt: skip


def copied(root):
    made = {}

    def copy(node):
        if node not in made:
            made[node] = twin(node)
            for name, below in (node.children or {}).items():
                made[node].children[name] = copy(below)
        return made[node]

    return copy(root)


@st.composite
def pairs(draw):
    """A tree, and another that was made of it or has nothing to do with it."""
    old = apply(directory(), draw(BUILDING))
    if draw(st.integers(0, 9)):
        return old, apply(copied(old), draw(st.lists(STEPS, max_size=12)))
    return old, apply(directory(0o700), draw(BUILDING))


def same_content(before, after):
    assert before.size == after.size > 0
    return before.source == after.source


def changeset_of(root):
    first = {}
    for path, node in walk(root):
        seen = first.setdefault(node, path)
        yield Put(path, twin(node)) if seen is path else Link(path, seen)


def sources(root):
    return {path: node.source for path, node in walk(root)}


@settings(max_examples=500)
@given(pairs(), st.booleans())
def test_the_old_tree_and_the_difference_make_the_new_one(trees, parents):
    """Applying a layer to the layers below gives the tree that it was made of."""
    old, new = trees
    before = dump(old), dump(new)
    changes = list(difference(old, new, same_content, parents=parents))
    made = merge(changeset_of(old), changes)
    assert list(iter_differences(made, new)) == []
    assert sources(made) == sources(new)
    assert (dump(old), dump(new)) == before


@given(pairs())
def test_nothing_is_said_of_equal_trees(trees):
    """A layer holds only what changed."""
    for tree in trees:
        assert list(difference(tree, copied(tree), same_content)) == []
        assert list(iter_changes(tree, copied(tree), same_content)) == []


@given(pairs())
def test_a_difference_is_in_the_order_that_readers_need(trees):
    """Each path comes once at most, behind its parents; removals before additions."""
    old, new = trees
    order = {path: number for number, (path, _) in enumerate(walk(new))}
    given_, added, first = [], set(), {}
    for entry in difference(old, new, same_content):
        parent = entry.path.rpartition(b"/")[0]
        assert isinstance(entry, Opaque) or not entry.path or parent in added
        if isinstance(entry, (Whiteout, Opaque)):
            where = parent if isinstance(entry, Whiteout) else entry.path
            assert not any(path.startswith(where + b"/" if where else b"") and path
                           for path in added if path != where)  # fmt: skip
            continue
        if isinstance(entry, Link):
            assert entry.target in first, "a link into a layer below"
        elif entry.node.is_dir:
            assert entry.node.children == {}
        else:
            first[entry.path] = entry.node
        assert entry.path not in added
        added.add(entry.path)
        given_.append(order[entry.path])
    assert given_ == sorted(given_)


def unlinked(root):
    """The tree with an inode for every name."""
    made = twin(root)
    for name, node in (root.children or {}).items():
        made.children[name] = unlinked(node)
    return made


def facts(node):
    return (
        node.mode, node.uid, node.mtime_ns, node.size, node.rdev, node.target, dict(node.xattrs),
        node.source,
    )  # fmt: skip


@given(pairs())
def test_without_hard_links_changes_are_what_differs_by_name(trees):
    """A name is in the changeset if and only if it is new, gone, or something else."""
    old, new = map(unlinked, trees)
    before, after = dict(walk(old)), dict(walk(new))
    expected = {
        ("add" if path not in before else "modify", path)
        for path in after
        if path not in before or facts(before[path]) != facts(after[path])
    }
    hidden = [path for path in before if path not in after]
    expected |= {
        ("delete", path)
        for path in hidden
        if (parent := after.get(path.rpartition(b"/")[0])) is not None and parent.is_dir
        and before[path.rpartition(b"/")[0]].is_dir
    }  # fmt: skip
    found = list(iter_changes(old, new, same_content))
    assert {(change.kind, change.path) for change in found} == expected
    assert len(found) == len(expected)


@given(pairs())
def test_changes_and_changeset_speak_of_the_same_names(trees):
    """What is shown as changed is what a layer holds."""
    old, new = trees
    entries = list(difference(old, new, same_content, parents=False))
    changes = list(iter_changes(old, new, same_content))
    added = {entry.path for entry in entries if isinstance(entry, (Put, Link))}
    assert {change.path for change in changes if change.kind != "delete"} == added
    gone = {change.path for change in changes if change.kind == "delete"}
    opaque = {entry.path for entry in entries if isinstance(entry, Opaque)}
    whiteouts = {entry.path for entry in entries if isinstance(entry, Whiteout)}
    assert gone >= whiteouts
    assert {path.rpartition(b"/")[0] for path in gone - whiteouts} == opaque
