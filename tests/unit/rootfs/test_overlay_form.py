import os
import stat

import pytest

from orlop.errors import InvalidLayerError, LimitExceededError, NeedsParentsError
from orlop.rootfs import overlay_form
from orlop.tree import Link, Node, Opaque, Put, Whiteout, dump
from orlop.tree.merge import MAX_IMPLIED_DIRECTORIES, MAX_LINKED_NAMES


def file(mode=0o644, **more):
    return Node(stat.S_IFREG | mode, **more)


def folder(mode=0o755, **more):
    return Node(stat.S_IFDIR | mode, **more)


def symlink(target):
    return Node(stat.S_IFLNK | 0o777, target=target)


def lines(*entries, **options):
    return dump(overlay_form(entries, **options).root).splitlines()[1:]


def test_a_whiteout_is_a_device():
    form = overlay_form([Put(b"d", folder()), Whiteout(b"d/x"), Whiteout(b"y")])
    assert form.root.children[b"y"].type == stat.S_IFCHR
    assert form.root.children[b"y"].rdev == 0
    assert form.root.children[b"d"].xattrs == {b"trusted.overlay.origin": b""}


@pytest.mark.parametrize("first", [True, False])
def test_an_entry_wins_over_a_whiteout_of_its_name(first):
    entries = [Put(b"x", file()), Whiteout(b"x")]
    assert lines(*(entries if first else entries[::-1])) == ["/x f 0644 0:0 0 0.000000000"]


@pytest.mark.parametrize("first", [True, False])
def test_a_directory_with_a_whiteout_of_its_name_is_opaque(first):
    entries = [Put(b"x", folder()), Put(b"x/f", file())]
    entries.insert(0 if first else 2, Whiteout(b"x"))
    assert lines(*entries) == [
        "/x d 0755 0:0 0.000000000 xattr:trusted.overlay.opaque=79",
        "/x/f f 0644 0:0 0 0.000000000",
    ]


def test_a_whiteout_stands_for_the_parents_that_follow_it():
    assert "xattr:trusted.overlay.opaque=79" in lines(Whiteout(b"x"), Put(b"x/f", file()))[0]


def test_whiteouts_below_an_opaque_directory_are_not_needed():
    entries = [Whiteout(b"d/x"), Put(b"d", folder()), Opaque(b"d"), Whiteout(b"d/no/such")]
    assert lines(*entries) == ["/d d 0755 0:0 0.000000000 xattr:trusted.overlay.opaque=79"]


def test_a_whiteout_below_a_file_hides_nothing():
    assert lines(Put(b"etc", file()), Whiteout(b"etc/group")) == ["/etc f 0644 0:0 0 0.000000000"]


def test_a_directory_in_place_of_a_file_of_its_layer_is_opaque():
    assert "opaque" in lines(Put(b"x", file()), Put(b"x", folder()))[0]


def test_the_other_namespace():
    assert (
        "xattr:user.overlay.opaque=79"
        in lines(Put(b"d", folder()), Opaque(b"d"), userxattr=True)[0]
    )


@pytest.mark.parametrize("node", [file, folder])
def test_xattrs_of_an_image_mean_nothing_to_overlay(node):
    given = node(xattrs={b"trusted.overlay.opaque": b"y", b"user.overlay.opaque": b"y"})
    form = overlay_form([Put(b"x", given)])
    assert form.root.children[b"x"].xattrs == {
        b"trusted.overlay.overlay.opaque": b"y",
        b"user.overlay.opaque": b"y",
    }
    assert b"trusted.overlay.opaque" in given.xattrs


def test_paths_lead_through_links_of_the_layer():
    shown = lines(
        Put(b"usr", folder()), Put(b"usr/lib", folder()), Put(b"lib", symlink(b"/../usr/lib")),
        Put(b"lib/f", file()), Link(b"g", b"lib/f"),
    )  # fmt: skip
    assert "/g f 0644 0:0 0 0.000000000 links=2" in shown
    assert "/usr/lib/f = /g" in shown


def test_a_later_entry_replaces_and_directories_merge():
    shown = lines(
        Put(b"d", folder()), Put(b"d/kept", file()), Put(b"d", folder(0o700)),
        Put(b"f", file()), Put(b"f", symlink(b"x")),
    )  # fmt: skip
    assert shown[0] == "/d d 0700 0:0 0.000000000"
    assert shown[1].startswith("/d/kept")
    assert shown[2].endswith("-> x")


def test_the_entries_keep_their_nodes():
    given = folder()
    overlay_form([Put(b"d", given), Put(b"d/f", file()), Opaque(b"d")])
    assert given.children == {}
    assert given.xattrs == {}


@pytest.mark.parametrize(
    "entries",
    [
        [Put(b"d/f", file())],
        [Put(b"d/f", file()), Put(b"d", folder())],
        [Put(b"d/f", file()), Put(b"d", file())],
        [Put(b"lib", symlink(b"usr/lib")), Put(b"lib/f", file())],
        [Put(b"d/f", file()), Opaque(b"d")],
        [Link(b"a", b"b")],
        [Link(b"a", b"b"), Put(b"b", file())],
        [Put(b"d/x", folder()), Link(b"a", b"d")],
        [Whiteout(b"d/x")],
        [Opaque(b"d")],
        [Opaque(b"")],
        [Put(b"l", symlink(b"d")), Put(b"d", folder()), Whiteout(b"l/x")],
    ],
    ids=[
        "parent", "late parent", "replaced parent", "link out", "opaque parent", "hard link",
        "late target", "link to what may be one", "whiteout", "opaque", "opaque root",
        "whiteout behind a link",
    ],
)  # fmt: skip
def test_what_depends_on_the_layers_below(entries):
    with pytest.raises(NeedsParentsError):
        overlay_form(entries)


@pytest.mark.parametrize("lowest", [True, False])
def test_a_device_that_is_a_whiteout_for_overlay(lowest):
    with pytest.raises(NeedsParentsError, match="/dev0"):
        overlay_form([Put(b"dev0", Node(stat.S_IFCHR | 0o600))], lowest=lowest)


def test_other_devices_are_kept():
    node = Node(stat.S_IFCHR | 0o600, rdev=os.makedev(1, 3))
    assert "dev=1:3" in lines(Put(b"null", node))[0]


def test_the_lowest_layer_needs_nothing_but_stays_the_lowest():
    form = overlay_form([Link(b"z", b"d/f"), Put(b"d/f", file()), Whiteout(b"gone")], lowest=True)
    assert dump(form.root).splitlines()[1:] == [
        "/d d 0755 0:0 0.000000000",
        "/d/f f 0644 0:0 0 0.000000000 links=2",
        "/z = /d/f",
    ]
    assert not form.anywhere


def test_a_root_that_is_given_is_the_forms_root():
    form = overlay_form([Put(b"", folder(0o711, mtime_ns=5))])
    assert (form.root.mode & 0o777, form.root.mtime_ns, form.root_given) == (0o711, 5, True)
    assert not overlay_form([]).root_given


@pytest.mark.parametrize(
    "entries",
    [
        [Put(b"", file())],
        [Put(b"d", folder()), Link(b"x", b"d")],
        [Put(b"f", file()), Link(b"", b"f")],
        [Link(b"x", b"")],
        [Put(b"l", symlink(b"l")), Put(b"l/x", file())],
    ],
    ids=["root", "link to a directory", "link as root", "link to the root", "link loop"],
)
def test_what_no_layer_may_say(entries):
    with pytest.raises(InvalidLayerError):
        overlay_form(entries, lowest=True)


@pytest.mark.parametrize(
    ("names", "works"), [(MAX_LINKED_NAMES, True), (MAX_LINKED_NAMES + 1, False)]
)
def test_the_names_in_targets_of_links_are_limited(names, works):
    entries = [Put(b"l", symlink(b"./" * (names - 1) + b"d")), Put(b"l/f", file())]
    if works:
        assert "/d/f f 0644 0:0 0 0.000000000" in lines(*entries, lowest=True)
    else:
        with pytest.raises(InvalidLayerError, match="too many symbolic links"):
            overlay_form(entries, lowest=True)


def test_a_chain_of_late_links_is_made():
    chain = [Link(b"%d" % number, b"%d" % (number + 1)) for number in range(1000)]
    assert "links=1001" in lines(*chain, Put(b"1000", file()), lowest=True)[0]


def test_a_hard_link_that_leads_nowhere():
    with pytest.raises(InvalidLayerError, match="not there"):
        overlay_form([Link(b"a", b"b")], lowest=True)


def test_a_hard_link_that_replaces_its_own_target():
    with pytest.raises(NeedsParentsError, match="replaces"):
        overlay_form([Put(b"a", file()), Link(b"a/b", b"a")], lowest=True)


def test_a_link_that_is_replaced_through_itself_is_not_followed_any_more():
    entries = [Put(b"l", symlink(b".")), Put(b"l/f", file()), Put(b"l/l", folder())]
    assert lines(*entries, Put(b"l/g", file()))[1:] == [
        "/l d 0755 0:0 0.000000000 xattr:trusted.overlay.opaque=79",
        "/l/g f 0644 0:0 0 0.000000000",
    ]


def test_directories_without_entries_are_counted():
    paths = [b"%d" % number + b"/d" * 2047 + b"/f" for number in range(129)]
    assert len(paths) * 2048 > MAX_IMPLIED_DIRECTORIES
    with pytest.raises(LimitExceededError, match="MAX_IMPLIED_DIRECTORIES"):
        overlay_form([Put(path, file()) for path in paths], lowest=True)
