import pytest

from orlop.tar import TarScanner, iter_archive, tree_members
from orlop.testing.trees import Bytes, content, describe, everything
from orlop.tree import Whiteout, merge


def archive(root, store):
    return b"".join(iter_archive(tree_members(root), lambda node: [content(node, store)]))


def without(root, *names):
    for name in names:
        del root.children[name]
    return root


def test_a_tree_comes_out_of_its_archive_again():
    store = Bytes()
    root = everything(store)
    # Archives have no sockets, holes come back as data, and ACLs as the mode that they make.
    without(root, b"hole", b"end hole", b"holes", b"socket", b"acl")
    scanner = TarScanner(store.source)
    data = archive(root, store)
    found = merge([*scanner.feed(data), *scanner.close()])
    expected = describe(root)
    assert describe(found).keys() == expected.keys()
    for path, (first, *facts) in describe(found).items():
        # Content lies elsewhere now: the offset differs, the bytes must not.
        assert [first, *facts[:8]] == list(expected[path][:9])
    for name in (b"one", b"setuid", b"short"):
        node, child = root.children[name], found.children[name]
        assert data[child.offset : child.offset + child.size] == content(node, store)


def test_further_names_are_links_to_the_first():
    store = Bytes()
    root = without(everything(store), b"hole", b"socket")
    links = [entry for entry, node in tree_members(root) if node is root.children[b"one"]]
    assert [(type(entry).__name__, entry.path) for entry in links] == [
        ("Put", b"!before dot"), ("Link", b"one"), ("Link", b"two"),
    ]  # fmt: skip
    assert {entry.target for entry in links[1:]} == {b"!before dot"}


def test_pieces_are_bounded():
    store = Bytes()
    root = without(everything(store), b"hole", b"socket")
    pieces = iter_archive(tree_members(root), lambda node: iter_small(node, store))
    assert max(map(len, pieces)) <= (1 << 20) + 2 * 4096 + 1024


def iter_small(node, store):
    data = content(node, store)
    return [data[start : start + 4096] for start in range(0, len(data), 4096)]


def test_whiteouts_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match="without whiteouts"):
        list(iter_archive([(Whiteout(b"a"), None)], lambda node: [], whiteouts=False))
