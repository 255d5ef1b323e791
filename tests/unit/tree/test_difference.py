import dataclasses

import pytest

from orlop.digest import Digest
from orlop.tree import Change, Node, Put, difference, directory, iter_changes, walk
from orlop.tree.node import S_IFLNK, S_IFREG


def regular(content=b"", **fields):
    source = Digest.of(content) if content else None
    return Node(S_IFREG | 0o644, size=len(content), source=source, **fields)


def tree(**children):
    """A directory; names are given with `__` for a slash, in any order."""
    root = directory()
    for name, node in children.items():
        here = root
        *parents, last = name.encode().split(b"__")
        for parent in parents:
            here = here.children.setdefault(parent, directory())
        here.children[last] = node
    return root


def same_content(before, after):
    return before.source == after.source


def told(entry):
    target = f" = {entry.target.decode()}" if hasattr(entry, "target") else ""
    return f"{type(entry).__name__.lower()} /{entry.path.decode()}{target}"


def changeset(old, new, **options):
    return list(map(told, difference(old, new, same_content, **options)))


def changes(old, new):
    return [f"{c.kind} /{c.path.decode()}" for c in iter_changes(old, new, same_content)]


def test_a_file_deep_below_brings_the_directories_above_it():
    old = tree(a__b__c=regular(b"1"), a__d=regular(), z=directory())
    new = tree(a__b__c=regular(b"2"), a__d=regular(), z=directory())
    assert changeset(old, new) == ["put /", "put /a", "put /a/b", "put /a/b/c"]
    assert changeset(old, new, parents=False) == ["put /a/b/c"]
    assert changes(old, new) == ["modify /a/b/c"]


def test_directories_come_once_and_only_where_something_changed():
    old = tree(a__x=regular(), b__x=regular(), c__x=regular())
    new = tree(a__x=regular(), a__y=regular(), b__x=regular(), c__x=regular(), c__y=regular())
    assert changeset(old, new) == ["put /", "put /a", "put /a/y", "put /c", "put /c/y"]


def test_removals_come_first_in_each_directory():
    old = tree(a__x=regular(), a__y=regular(), a__z=regular(), b=regular())
    new = tree(a__y=regular(b"!"), a__w__q=regular())
    assert changeset(old, new) == [
        "put /", "whiteout /b", "put /a", "whiteout /a/x", "whiteout /a/z", "put /a/w",
        "put /a/w/q", "put /a/y",
    ]  # fmt: skip
    assert changes(old, new) == [
        "add /a/w", "add /a/w/q", "delete /a/x", "modify /a/y", "delete /a/z", "delete /b",
    ]  # fmt: skip


def test_a_directory_with_entirely_other_entries_is_opaque_where_that_is_shorter():
    new = tree(d__new=regular())
    assert changeset(tree(d__a=regular(), d__b=regular()), new) == [
        "put /", "put /d", "opaque /d", "put /d/new"
    ]  # fmt: skip
    assert changeset(tree(d__a=regular()), new) == [
        "put /", "put /d", "whiteout /d/a", "put /d/new"
    ]  # fmt: skip
    assert changeset(tree(d__a=regular(), d__b=regular(), d__new=regular()), new) == [
        "put /", "put /d", "whiteout /d/a", "whiteout /d/b"
    ]  # fmt: skip


def test_the_root_is_never_opaque():
    assert changeset(tree(a=regular(), b=regular()), tree(c=regular())) == [
        "put /", "whiteout /a", "whiteout /b", "put /c"
    ]  # fmt: skip


def test_another_type_takes_the_place():
    old = tree(d__x__y=regular(), f=regular(), l=Node(S_IFLNK | 0o777, target=b"d"))
    new = tree(d=regular(), f__x=regular(), l__y=regular())
    assert changeset(old, new) == [
        "put /", "put /d", "put /f", "put /f/x", "put /l", "put /l/y"
    ]  # fmt: skip
    assert changes(old, new) == [
        "modify /d", "modify /f", "add /f/x", "modify /l", "add /l/y"
    ]  # fmt: skip


def test_a_deleted_directory_is_one_change_and_an_added_one_is_all_of_it():
    full = tree(d__x=regular(), d__y__z=regular())
    assert changes(full, tree()) == ["delete /d"]
    assert changes(tree(), full) == ["add /d", "add /d/x", "add /d/y", "add /d/y/z"]


@pytest.mark.parametrize(
    "fields",
    [{"uid": 1}, {"gid": 1}, {"mtime_ns": 1}, {"xattrs": {b"user.a": b""}}, {"rdev": 1},
     {"target": b"x"}, {"size": 1}],
    ids=str,
)  # fmt: skip
def test_each_attribute_counts(fields):
    old, new = tree(f=Node(S_IFREG)), tree(f=Node(S_IFREG, **fields))
    if "rdev" in fields or "target" in fields:
        old, new = tree(f=Node(S_IFLNK)), tree(f=Node(S_IFLNK, **fields))
    assert changeset(old, new) == ["put /", "put /f"]
    assert changes(old, new) == ["modify /f"]
    assert changeset(old, old) == []


def test_attributes_of_directories():
    old, new = tree(d__x=regular()), tree(d__x=regular())
    new.mtime_ns = new.children[b"d"].mode = 0o040700
    assert changeset(old, new, parents=False) == ["put /", "put /d"]
    assert changes(old, new) == ["modify /", "modify /d"]
    (_, put) = difference(old, new, same_content)
    assert isinstance(put, Put)
    assert (put.node.mode, put.node.children) == (0o040700, {})


def test_content_is_compared_once_and_only_where_nothing_else_tells():
    asked = []

    def same(before, after):
        asked.append((before.size, after.size))
        return True

    old = tree(empty=regular(), size=regular(b"1"), time=regular(b"11"), same=regular(b"111"))
    new = tree(
        empty=regular(), size=regular(b"12"), time=regular(b"22", mtime_ns=1), same=regular(b"222")
    )
    shared = regular(b"1111")
    old.children[b"link"] = old.children[b"link2"] = shared
    new.children[b"link"] = new.children[b"link2"] = regular(b"2222")
    assert [entry.path for entry in difference(old, new, same)] == [b"", b"size", b"time"]
    assert sorted(asked) == [(3, 3), (4, 4)]


class TestHardLinks:
    def test_a_further_name_brings_all_names_anew(self):
        file, again = regular(b"x"), regular(b"x")
        assert changeset(tree(b=file), tree(a=again, b=again)) == [
            "put /", "put /a", "link /b = a"
        ]  # fmt: skip
        assert changes(tree(b=file), tree(a=again, b=again)) == ["add /a", "modify /b"]

    def test_a_name_that_went_is_no_more_than_that(self):
        file, again = regular(b"x"), regular(b"x")
        assert changeset(tree(a=file, b=file, c=file), tree(a=again, c=again)) == [
            "put /", "whiteout /b"
        ]  # fmt: skip

    def test_a_name_that_became_another_file(self):
        file, again = regular(b"x"), regular(b"x")
        new = tree(a=again, b=regular(b"y"), c=again)
        assert changeset(tree(a=file, b=file, c=file), new) == ["put /", "put /b"]

    def test_an_inode_that_changed_comes_under_all_its_names(self):
        file, changed = regular(b"x"), regular(b"y")
        new = tree(d__a=changed, e__b=changed)
        assert changeset(tree(d__a=file, e__b=file), new) == [
            "put /", "put /d", "put /d/a", "put /e", "link /e/b = d/a"
        ]  # fmt: skip

    def test_names_that_part_although_nothing_else_changes(self):
        file = regular(b"x")
        new = tree(a=regular(b"x"), b=regular(b"x"))
        assert changeset(tree(a=file, b=file), new) == ["put /", "put /b"]

    def test_two_files_that_become_one(self):
        file = regular(b"x")
        old = tree(a=regular(b"x"), b=regular(b"x"))
        assert changeset(old, tree(a=file, b=file)) == ["put /", "put /a", "link /b = a"]

    def test_names_that_are_exchanged_between_inodes(self):
        one, two, new_one, new_two = (regular(b"x") for _ in range(4))
        old = tree(a=one, b=one, c=two, d=two)
        new = tree(a=new_one, c=new_one, b=new_two, d=new_two)
        assert changeset(old, new) == [
            "put /", "put /a", "put /b", "link /c = a", "link /d = b"
        ]  # fmt: skip


def test_trees_of_any_depth():
    def deep(content):
        root = here = directory()
        for _ in range(3000):
            here.children[b"d"] = here = directory()
        here.children[b"f"] = regular(content)
        return root

    old, new = deep(b"1"), deep(b"2")
    assert sum(1 for _ in difference(old, new, same_content)) == 3002
    (change,) = iter_changes(old, new, same_content)
    assert change.path == [path for path, _ in walk(new)][-1]


def test_a_change_is_a_value():
    change = Change(kind="add", path=b"a")
    assert change == Change(kind="add", path=b"a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        change.path = b"b"
