import pytest

from orlop.errors import InvalidLayerError, LimitExceededError
from orlop.tree import Link, Node, Opaque, Put, Whiteout, directory, dump, lookup, merge
from orlop.tree.merge import MAX_IMPLIED_DIRECTORIES, MAX_LINKED_NAMES, MAX_SYMLINKS
from orlop.tree.node import S_IFDIR, S_IFLNK, S_IFREG


def folder(path, mode=0o755, **attributes):
    return Put(path, Node(S_IFDIR | mode, **attributes))


def file(path, size=0, **attributes):
    return Put(path, Node(S_IFREG | 0o644, size=size, **attributes))


def symlink(path, target):
    return Put(path, Node(S_IFLNK | 0o777, target=target))


def names(root):
    return [line.split(" ")[0] for line in dump(root).splitlines()]


def test_layers_apply_in_order():
    root = merge([file(b"a", 1)], [file(b"a", 2)])
    assert root.children[b"a"].size == 2


def test_a_missing_parent_is_made():
    root = merge([file(b"x/y/z")])
    assert names(root) == ["/", "/x", "/x/y", "/x/y/z"]
    assert root.children[b"x"].mode == S_IFDIR | 0o755


def test_directory_over_directory_keeps_children_and_takes_attributes():
    root = merge([folder(b"d", 0o700), file(b"d/f")], [folder(b"d", 0o711, uid=7, mtime_ns=5)])
    found = root.children[b"d"]
    assert (found.mode & 0o777, found.uid, found.mtime_ns) == (0o711, 7, 5)
    assert b"f" in found.children


def test_the_attributes_of_the_root_apply():
    root = merge([folder(b"", 0o750, gid=4)], [file(b"a")])
    assert (root.mode & 0o777, root.gid, names(root)) == (0o750, 4, ["/", "/a"])


def test_the_root_cannot_be_anything_else():
    with pytest.raises(InvalidLayerError, match="root must be a directory"):
        merge([symlink(b"", b"/etc")])


@pytest.mark.parametrize("lower", [[folder(b"p"), file(b"p/old")], [file(b"p")]])
@pytest.mark.parametrize("upper", [file(b"p", 9), symlink(b"p", b"x")])
def test_other_combinations_replace(lower, upper):
    root = merge(lower, [upper])
    assert root.children[b"p"] is upper.node


def test_a_directory_replaces_a_symlink_and_does_not_follow_it():
    root = merge([folder(b"real"), symlink(b"d", b"real")], [folder(b"d"), file(b"d/f")])
    assert names(root) == ["/", "/d", "/d/f", "/real"]


def test_a_file_as_parent_is_replaced_by_a_directory():
    root = merge([file(b"a")], [file(b"a/b")])
    assert names(root) == ["/", "/a", "/a/b"]


class TestWhiteout:
    @pytest.mark.parametrize("order", [1, -1])
    def test_spares_its_own_layer_in_any_order(self, order):
        upper = [Whiteout(b"d"), file(b"d/new"), Whiteout(b"f"), file(b"f", 2)]
        root = merge([file(b"d/old"), file(b"f", 1)], upper[::order])
        assert names(root) == ["/", "/d", "/d/new", "/f"]
        assert root.children[b"f"].size == 2

    @pytest.mark.parametrize("path", [b"none", b"none/at/all", b"file/x"])
    def test_of_nothing_is_nothing(self, path):
        assert names(merge([file(b"file")], [Whiteout(path)])) == ["/", "/file"]

    def test_of_a_symlink_removes_the_link(self):
        root = merge([file(b"t/f"), symlink(b"l", b"t")], [Whiteout(b"l")])
        assert names(root) == ["/", "/t", "/t/f"]

    def test_goes_through_a_symlinked_parent(self):
        root = merge([file(b"t/f"), symlink(b"l", b"/t")], [Whiteout(b"l/f")])
        assert names(root) == ["/", "/l", "/t"]

    @pytest.mark.parametrize("removal", [Whiteout(b"l/f"), Whiteout(b"m/f"), Opaque(b"l/d")])
    @pytest.mark.parametrize("upper", [folder(b"l"), file(b"l"), symlink(b"l", b"elsewhere")])
    def test_behind_a_link_that_its_own_layer_replaces_is_nothing(self, removal, upper):
        lower = [file(b"t/f"), file(b"t/d/g"), symlink(b"l", b"t"), symlink(b"m", b"l")]
        root = merge(lower, [removal, Put(upper.path, upper.node)])
        assert {"/t/f", "/t/d/g"} <= set(names(root))

    def test_behind_links_in_a_circle_is_nothing(self):
        root = merge([symlink(b"a", b"b"), symlink(b"b", b"a")], [Whiteout(b"a/f")])
        assert names(root) == ["/", "/a", "/b"]

    def test_of_one_name_leaves_the_others(self):
        root = merge([file(b"a", 3), Link(b"b", b"a")], [Whiteout(b"a")])
        assert root.children[b"b"].size == 3


class TestOpaque:
    @pytest.mark.parametrize("order", [1, -1])
    def test_hides_what_is_below_and_spares_its_own_layer(self, order):
        upper = [Opaque(b"d"), file(b"d/new")]
        root = merge([folder(b"d", 0o700), file(b"d/old"), file(b"d/e/f")], upper[::order])
        assert names(root) == ["/", "/d", "/d/new"]
        assert root.children[b"d"].mode & 0o777 == 0o700

    def test_of_the_root_hides_everything(self):
        assert names(merge([file(b"a"), file(b"b/c")], [Opaque(b""), file(b"d")])) == ["/", "/d"]

    def test_behind_a_symlink_spares_what_the_link_points_to(self):
        root = merge([file(b"t/f"), symlink(b"d", b"t")], [Opaque(b"d"), folder(b"d")])
        assert names(root) == ["/", "/d", "/t", "/t/f"]


class TestLink:
    def test_shares_the_inode_across_layers(self):
        root = merge([file(b"a", 3)], [Link(b"d/b", b"a")])
        assert root.children[b"a"] is root.children[b"d"].children[b"b"]

    def test_replacing_one_name_leaves_the_others(self):
        root = merge([file(b"a", 3), Link(b"b", b"a")], [file(b"a", 4)])
        assert (root.children[b"a"].size, root.children[b"b"].size) == (4, 3)

    def test_a_target_may_follow_even_through_other_links(self):
        root = merge([Link(b"a", b"b"), Link(b"b", b"c"), file(b"c", 5)])
        assert root.children[b"a"] is root.children[b"c"]

    def test_to_a_symlink_links_the_symlink(self):
        root = merge([symlink(b"s", b"gone"), Link(b"l", b"s")])
        assert root.children[b"l"] is root.children[b"s"]

    def test_to_itself_changes_nothing(self):
        assert names(merge([file(b"a"), Link(b"a", b"a")])) == ["/", "/a"]

    def test_target_under_a_symlinked_parent(self):
        root = merge([file(b"t/f", 8), symlink(b"s", b"t"), Link(b"l", b"s/f")])
        assert root.children[b"l"].size == 8

    def test_to_nothing_is_refused_by_name(self):
        with pytest.raises(InvalidLayerError, match="/b: hard link to /a, which is neither"):
            merge([Link(b"b", b"a")])

    def test_to_a_directory_is_refused(self):
        with pytest.raises(InvalidLayerError, match="hard link to the directory /d"):
            merge([folder(b"d"), Link(b"b", b"d")])

    def test_to_what_its_own_layer_removes_is_refused(self):
        with pytest.raises(InvalidLayerError, match="neither in this layer"):
            merge([file(b"a")], [Link(b"b", b"a"), Whiteout(b"a")])


class TestSymlinkedParents:
    @pytest.mark.parametrize(
        ("target", "found"),
        [
            (b"t", "/t/f"),
            (b"/t", "/t/f"),
            (b"../../../t", "/t/f"),
            (b"/", "/f"),
            (b".", "/f"),
            (b"", "/f"),
            (b"not/yet", "/not/yet/f"),
        ],
    )
    def test_stay_inside_the_root(self, target, found):
        root = merge([symlink(b"l", target), folder(b"t")], [file(b"l/f")])
        assert found in names(root)
        assert root.children[b"l"].target == target

    def test_a_link_in_a_subdirectory_starts_there(self):
        root = merge([symlink(b"a/l", b"../b/./c"), file(b"a/l/f")])
        assert "/b/c/f" in names(root)

    def test_a_loop_is_refused(self):
        with pytest.raises(InvalidLayerError, match="/a/f: leads through too many symbolic links"):
            merge([symlink(b"a", b"b"), symlink(b"b", b"a"), file(b"a/f")])

    @pytest.mark.parametrize(("links", "works"), [(MAX_SYMLINKS, True), (MAX_SYMLINKS + 1, False)])
    def test_the_limit_is_exact(self, links, works):
        chain = [symlink(b"l%d" % i, b"l%d" % (i + 1)) for i in range(links - 1)]
        layer = [*chain, symlink(b"l%d" % (links - 1), b"end"), file(b"l0/f")]
        if works:
            assert "/end/f" in names(merge(layer))
        else:
            with pytest.raises(InvalidLayerError):
                merge(layer)

    @pytest.mark.parametrize("parts", [1, 4])
    def test_the_limit_of_names_in_their_targets_is_exact(self, parts):
        """A path of a few bytes would else be walked through tens of thousands of names."""
        names_each = MAX_LINKED_NAMES // parts
        links = [
            symlink(b"l%d" % i, b"./" * (names_each - 1) + b"l%d" % (i + 1)) for i in range(parts)
        ]
        merge([*links, file(b"l0/f")])
        links[-1] = symlink(b"l%d" % (parts - 1), b"./" * names_each + b"l%d" % parts)
        with pytest.raises(InvalidLayerError, match="too many symbolic links"):
            merge([*links, file(b"l0/f")])

    def test_a_parent_that_becomes_a_symlink_is_seen_at_once(self):
        root = merge([file(b"d/a"), symlink(b"d", b"e"), file(b"d/b")])
        assert names(root) == ["/", "/d", "/e", "/e/b"]

    def test_a_symlink_that_becomes_a_directory_is_seen_at_once(self):
        root = merge([symlink(b"d", b"e"), file(b"d/a"), folder(b"d"), file(b"d/b")])
        assert names(root) == ["/", "/d", "/d/b", "/e", "/e/a"]


def test_lookup():
    root = merge([file(b"t/f", 3), symlink(b"l", b"t/f"), symlink(b"x", b"gone")])
    assert lookup(root, b"").children is not None
    assert lookup(root, b"/l").size == 3
    assert lookup(root, b"l", follow_last=False).target == b"t/f"
    assert lookup(root, b"t/../t/./f").size == 3
    assert lookup(root, b"x") is None
    assert lookup(root, b"t/f/g") is None
    assert lookup(root, b"none") is None


def test_ten_thousand_levels():
    path = b"/".join([b"d"] * 10_000)
    root = merge([file(path + b"/f", 1)])
    assert lookup(root, path + b"/f").size == 1


def test_directories_without_entries_are_counted_in_all_layers_together():
    """Each path of four kilobytes would else cost two thousand inodes, for a few bytes of gzip."""
    deep = b"/d" * 2047
    whole, rest = divmod(MAX_IMPLIED_DIRECTORIES, 2048)
    layer = [file(b"%d" % number + deep + b"/f") for number in range(whole)]
    merge(layer, [file(b"x/" * rest + b"f")])
    with pytest.raises(LimitExceededError) as caught:
        merge(layer, [file(b"x/" * rest + b"x/f")])
    assert caught.value.limit == "MAX_IMPLIED_DIRECTORIES"


def test_directories_that_are_replaced_again_and_again_count_each_time():
    layer = [file(b"a" + b"/d" * 2047 + b"/f"), file(b"a")] * (MAX_IMPLIED_DIRECTORIES // 2048 + 1)
    with pytest.raises(LimitExceededError, match="MAX_IMPLIED_DIRECTORIES"):
        merge(layer)


def test_directory_makes_directories():
    assert directory(0o700).children == {}
