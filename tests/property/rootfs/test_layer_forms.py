"""Stacks of random layers: their overlay forms together show what merging them makes."""

import io
import os
import stat
import subprocess
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.errors import InvalidLayerError, NeedsParentsError
from orlop.rootfs import StreamWriter, overlay_form, read_tree, remove_tree, write_tree
from orlop.tar import TarScanner
from orlop.tree import Link, Node, Opaque, Put, Whiteout, dump, merge

ROOT = os.geteuid() == 0
NAMESPACE = "trusted" if ROOT else "user"
OPAQUE = b"trusted.overlay.opaque"
ORIGIN = b"trusted.overlay.origin"
SOURCE = Digest.of(b"a tar")

names = st.sampled_from([b"a", b"b", b"c"])
paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)
targets = st.sampled_from([b"a", b"/b", b"../c", b"a/b", b".", b"/", b"nowhere"])
times = st.integers(0, 2_000_000_000).map(lambda seconds: seconds * 10**9)
modes = st.sampled_from([0o755, 0o700, 0o644, 0o4711, 0o1777, 0o000])
nodes = st.one_of(
    st.tuples(st.just("file"), modes, times, st.integers(0, 3000)),
    st.tuples(
        st.just("dir"), modes, times, st.sampled_from([{}, {b"trusted.overlay.opaque": b"y"}])
    ),
    st.tuples(st.just("dir"), modes, times, st.just({})),
    st.tuples(st.just("link"), st.just(0o777), times, targets),
    st.tuples(st.just("fifo"), modes, times, st.none()),
)
entries = st.one_of(
    st.tuples(st.just("put"), paths, nodes),
    st.tuples(st.just("put"), paths, nodes),
    st.tuples(st.just("put"), paths, nodes),
    st.tuples(st.just("whiteout"), paths),
    st.tuples(st.just("opaque"), paths),
)


@st.composite
def entry_lists(draw):
    """Entries, with hard links to files that are probably there."""
    layer = draw(st.lists(entries, max_size=10))
    files = [entry[1] for entry in layer if entry[0] == "put" and entry[2][0] != "dir"]
    if files and draw(st.booleans()):
        link = ("hardlink", draw(paths), draw(st.sampled_from([*files, b"a/b"])))
        layer += [link] if link[1] != link[2] else []
    return layer


def with_parents(layer):
    """The layer with an entry for each directory that its paths need and that it does not name."""
    named = {entry[1] for entry in layer if entry[0] != "whiteout"}
    parents = {}
    for entry in layer:
        parts = entry[1].split(b"/")
        for depth in range(1, len(parts)):
            parents[b"/".join(parts[:depth])] = None
    made = [("put", path, ("dir", 0o755, 0, {})) for path in sorted(parents) if path not in named]
    return made + layer


layers = entry_lists()
whole_layers = layers.map(with_parents)
stacks = st.lists(whole_layers, min_size=1, max_size=3)


def make_node(kind, mode, mtime_ns, value):
    if kind == "file":
        node = Node(stat.S_IFREG | mode, 0, 0, mtime_ns, value)
        node.source = SOURCE if value else None
        return node
    if kind == "dir":
        return Node(stat.S_IFDIR | mode, 0, 0, mtime_ns, xattrs=value)
    if kind == "link":
        return Node(stat.S_IFLNK | mode, 0, 0, mtime_ns, target=value)
    return Node(stat.S_IFIFO | mode, 0, 0, mtime_ns)


def make_entries(layer):
    makers = {"hardlink": Link, "whiteout": Whiteout, "opaque": Opaque}
    return [
        Put(entry[1], make_node(*entry[2])) if entry[0] == "put" else makers[entry[0]](*entry[1:])
        for entry in layer
    ]


def is_whiteout(node):
    return node.type == stat.S_IFCHR and node.rdev == 0


def stacked(forms):
    """What overlay shows of trees in its form, the lowest first."""
    copies = {}

    def copy(node):
        if id(node) not in copies:
            xattrs = {
                name.replace(b"overlay.overlay.", b"overlay."): value
                for name, value in node.xattrs.items()
                if name not in {OPAQUE, ORIGIN}
            }
            copies[id(node)] = Node(
                node.mode, node.uid, node.gid, node.mtime_ns, node.size, node.rdev, node.target,
                xattrs, node.source, node.offset, node.segments,
            )  # fmt: skip
        return copies[id(node)]

    def show(directories):
        shown = copy(directories[0])
        for name in set().union(*(here.children for here in directories)):
            below = []
            for here in directories:
                child = here.children.get(name)
                if child is None:
                    continue
                if child.is_dir:
                    below.append(child)
                elif not below and not is_whiteout(child):
                    shown.children[name] = copy(child)
                if not child.is_dir or OPAQUE in child.xattrs:
                    break
            if below:
                shown.children[name] = show(below)
        return shown

    return show([form.root for form in reversed(forms)])


def form_all(stack):
    """The forms of the layers; None when they have to be merged, or are refused as `merge` does."""
    try:
        return [overlay_form(make_entries(layer), lowest=not i) for i, layer in enumerate(stack)]
    except NeedsParentsError:
        return None
    except InvalidLayerError:
        with pytest.raises(InvalidLayerError):
            merge(*map(make_entries, stack))
        return None


def removes_behind_links(stack):
    """Whether a removal's path leads through a symbolic link of a layer below.

    A form cannot know of such a link; where its layer has a directory there, that is meant.
    """
    for number, layer in enumerate(stack):
        try:
            below = merge(*map(make_entries, stack[:number]))
        except InvalidLayerError:
            return True
        for _, path, *_ in (entry for entry in layer if entry[0] in {"whiteout", "opaque"}):
            parts = path.split(b"/")
            for depth in range(1, len(parts)):
                node = lookup_plainly(below, parts[:depth])
                if node is not None and node.type == stat.S_IFLNK:
                    return True
    return False


def lookup_plainly(node, parts):
    for name in parts:
        node = (node.children or {}).get(name)
        if node is None or node.type == stat.S_IFLNK:
            break
    return node


def merged_below_a_root(stack, shown):
    """The merged tree, under the root that overlay shows: the topmost layer's."""
    merged = merge(*map(make_entries, stack))
    merged.mode, merged.mtime_ns, merged.xattrs = shown.mode, shown.mtime_ns, shown.xattrs
    return merged


@settings(max_examples=300, deadline=None)
@given(stacks)
def test_forms_of_layers_show_what_merging_them_makes(stack):
    """Layers are applied one on top of another: what overlay shows is the result of that."""
    forms = form_all(stack)
    if forms and not removes_behind_links(stack):
        shown = stacked(forms)
        assert dump(shown) == dump(merged_below_a_root(stack, shown))


@settings(max_examples=100, deadline=None)
@given(layers)
def test_a_form_is_for_anywhere_only_if_it_needs_nothing_below(layer):
    """A form made for the lowest place says truly whether it may stand elsewhere."""
    try:
        form = overlay_form(make_entries(layer), lowest=True)
    except (InvalidLayerError, NeedsParentsError):
        return
    if form.anywhere:
        assert dump(overlay_form(make_entries(layer)).root) == dump(form.root)


# On disk.


class Scratch:
    """Directories that are made below one, and go with it."""

    def __init__(self, base):
        self.base = base
        self.fd = os.open(base, os.O_RDONLY)

    def directory(self, name):
        path = self.base / name
        path.mkdir()
        return os.open(path, os.O_RDONLY)

    def clear(self):
        for name in os.listdir(self.fd):
            remove_tree(self.fd, os.fsencode(name))


@pytest.fixture
def scratch(tmp_path):
    made = Scratch(tmp_path)
    yield made
    made.clear()
    os.close(made.fd)


def read_at(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_tree(fd)
    finally:
        os.close(fd)


def tar_of(layer):
    """The layer as a tar, and the content of its files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, entry in enumerate(layer):
            tar.addfile(*member_of(entry, number))
    return out.getvalue()


def member_of(entry, number):
    kind, path = entry[:2]
    member = tarfile.TarInfo(path.decode())
    if kind == "whiteout":
        head, _, tail = path.rpartition(b"/")
        member.name = (head + b"/.wh." + tail if head else b".wh." + tail).decode()
    elif kind == "opaque":
        member.name += "/.wh..wh..opq"
    elif kind == "hardlink":
        member.type, member.linkname = tarfile.LNKTYPE, entry[2].decode()
    else:
        what, member.mode, mtime_ns, value = entry[2]
        member.mtime = mtime_ns // 10**9
        if what == "file":
            member.size = value
            return member, io.BytesIO(bytes([number % 255 + 1]) * value)
        member.type = {"dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}.get(what, tarfile.FIFOTYPE)
        if what == "link":
            member.linkname = value.decode()
        if what == "dir":
            member.pax_headers = {
                f"SCHILY.xattr.{name.decode()}": text.decode() for name, text in value.items()
            }
    return member, None


def stream(data, dir_fd, cuts, lowest):
    scanner = TarScanner(SOURCE)
    options = {"lowest": lowest, "ownership": ROOT, "userxattr": not ROOT}
    with StreamWriter(dir_fd, **options) as writer:
        offset = 0
        while offset < len(data):
            chunk = data[offset : offset + next(cuts)]
            writer.feed(chunk, offset, scanner.feed(chunk))
            offset += len(chunk)
        writer.feed(b"", offset, scanner.close())
        return writer.close()


def endless(sizes):
    while True:
        yield from sizes


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(whole_layers, st.lists(st.integers(1, 5000), min_size=1, max_size=5), st.booleans())
def test_a_streamed_layer_is_the_written_form(scratch, layer, sizes, lowest):
    """However the stream is cut, the directory is the one that the whole changeset makes."""
    scratch.clear()
    data = tar_of(layer)
    streamed = scratch.directory("streamed")
    written = scratch.directory("written")
    tar_fd = os.memfd_create("tar")
    os.write(tar_fd, data)
    try:
        entries = TarScanner(SOURCE).feed(data)
        try:
            form = overlay_form(entries, lowest=lowest, userxattr=not ROOT)
        except (InvalidLayerError, NeedsParentsError) as error:
            with pytest.raises(type(error)):
                stream(data, streamed, endless(sizes), lowest)
            return
        write_tree(form.root, written, lambda _: tar_fd, ownership=ROOT, overlay=NAMESPACE)
        report = stream(data, streamed, endless(sizes), lowest)
        assert (report.anywhere, report.root_given) == (form.anywhere, form.root_given)
        found = read_tree(streamed, digest_files=True)
        assert dump(found, data=True) == dump(read_tree(written, digest_files=True), data=True)
    finally:
        for fd in (streamed, written, tar_fd):
            os.close(fd)


@pytest.mark.privileged
@pytest.mark.skipif(not ROOT, reason="mounting overlay needs root")
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(whole_layers, min_size=2, max_size=3))
def test_the_kernel_shows_what_merging_makes(scratch, stack):
    """An overlay mount over the written forms is the image."""
    forms = form_all(stack)
    if not forms or removes_behind_links(stack):
        return
    scratch.clear()
    empty = os.memfd_create("tar")
    os.ftruncate(empty, 4096)
    lowers = []
    for number, form in enumerate(forms):
        fd = scratch.directory(f"l{number}")
        write_tree(form.root, fd, lambda _: empty, overlay="trusted")
        os.close(fd)
        lowers.insert(0, str(scratch.base / f"l{number}"))
    os.close(empty)
    view = scratch.base / "view"
    view.mkdir()
    options = f"lowerdir={':'.join(lowers)},index=off,metacopy=off,redirect_dir=nofollow"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "none", str(view)], check=True)
    try:
        shown = read_at(view)
    finally:
        subprocess.run(["umount", str(view)], check=True)
    merged = merged_below_a_root(stack, shown)
    assert dump(shown) == dump(merged)
