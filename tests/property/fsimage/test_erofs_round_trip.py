import io
import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.fsimage.erofs import Device, ErofsReader, check_image, write_index
from orlop.testing.trees import Bytes, content, describe
from orlop.tree import Node, directory, walk

UUID = bytes(range(16))
FORMS = st.sampled_from(["flat", "chunk"])

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."}
) | st.sampled_from([b"!", b"-", b".a", b"...", b"a", b"b", b"c" * 255])
owners = st.sampled_from([0, 1, 65_535, 65_536, 2**32 - 2])
times = st.just(0) | st.integers(-(2**63) * 10**9, 2**63 * 10**9 - 1)
xattrs = st.dictionaries(
    st.sampled_from([b"user.", b"trusted.", b"security."]).flatmap(
        lambda prefix: (
            st.binary(min_size=1, max_size=255 - len(prefix))
            .filter(lambda suffix: b"\0" not in suffix)
            .map(lambda suffix: prefix + suffix)
        )
    )
    | st.sampled_from([b"system.posix_acl_access", b"system.posix_acl_default"]),
    st.binary(max_size=600),
    max_size=4,
)
targets = st.binary(min_size=1, max_size=4095).filter(lambda target: b"\0" not in target)


@st.composite
def segments(draw):
    cuts = sorted(draw(st.sets(st.integers(0, 40), max_size=8)))
    unit = draw(st.sampled_from([1, 100, 512, 4096, 65_536]))
    pairs = list(zip(cuts[::2], cuts[1::2], strict=False))
    end = draw(st.integers(0, 3)) * unit + draw(st.integers(1, 700))
    size = (cuts[-1] if cuts else 0) * unit + end
    return [(start * unit, (stop - start) * unit) for start, stop in pairs], size


@st.composite
def nodes(draw, store):
    permissions = draw(st.integers(0, 0o7777))
    kind = draw(st.sampled_from("ffffslcbpk"))
    common = [draw(owners), draw(owners), draw(times)]
    attributes = draw(xattrs)
    if kind == "f":
        data = draw(st.binary(max_size=3000)) * draw(st.sampled_from([1, 1, 3]))
        offset = store.add(data, draw(st.sampled_from([0, 0, 0, 512])))
        return Node(
            0o100000 | permissions,
            *common,
            size=len(data),
            xattrs=attributes,
            source=store.source,
            offset=offset,
        )
    if kind == "s":
        pairs, size = draw(segments())
        data = b"".join(os.urandom(1) * length for _, length in pairs)
        return Node(
            0o100000 | permissions,
            *common,
            size=size,
            xattrs=attributes,
            source=store.source,
            offset=store.add(data),
            segments=tuple(pairs),
        )
    if kind == "l":
        return Node(0o120777, *common, target=draw(targets), xattrs=attributes)
    device = os.makedev(draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1)))
    mode = {"c": 0o20000, "b": 0o60000, "p": 0o10000, "k": 0o140000}[kind]
    return Node(mode | permissions, *common, rdev=device if kind in "cb" else 0, xattrs=attributes)


@st.composite
def trees(draw):
    store = Bytes(align=draw(st.sampled_from([512, 4096])))
    root = directory(0o755, mtime_ns=draw(times))
    directories, made = [root], []
    for _ in range(draw(st.integers(0, 25))):
        parent = draw(st.sampled_from(directories))
        name = draw(names)
        if name in parent.children:
            continue
        choice = draw(st.integers(0, 5))
        if choice == 0:
            node = directory(0o700, draw(owners), draw(owners), draw(times))
            node.xattrs = draw(xattrs)
            directories.append(node)
        elif choice == 1 and made:
            node = draw(st.sampled_from(made))
        else:
            node = draw(nodes(store))
            made.append(node)
        parent.children[name] = node
    return root, store


def place_of_copies(reader, written, store):
    """Names a source for content that the image holds, and remembers what is there."""
    copies = {}

    def adopt(inode):
        copies[inode.nid] = reader.open(inode).read()
        return store.source, -inode.nid

    return adopt, copies


def without_place(described):
    return {path: facts[:-3] for path, facts in described.items()}


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(trees(), FORMS, st.sampled_from([9, 12]))
def test_what_is_written_is_read_again(tree, form, block_bits):
    """The tree that an image shows is the tree that it was made from."""
    root, store = tree
    output = io.BytesIO()
    written = write_index(
        root, [Device(store.source, store.size)], output,
        uuid=UUID, form=form, block_bits=block_bits, read=store.read,
    )  # fmt: skip
    image = io.BytesIO(output.getvalue())
    assert written.size == len(output.getvalue())

    def read_at(offset, size):
        image.seek(offset)
        return image.read(size)

    check_image(read_at, [store.size])
    reader = ErofsReader(read_at, [store.read_at])
    adopt, copies = place_of_copies(reader, written, store)
    again = reader.tree([store.source], adopt=adopt)
    if copies:
        assert written.copied
        assert without_place(describe(again)) == without_place(describe(root))
    else:
        assert describe(again) == describe(root)
    for path, node in walk(root):
        if node.size:
            inode = reader.lookup(path, follow=False)
            assert reader.open(inode).read() == content(node, store)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(trees(), FORMS)
def test_the_same_tree_gives_the_same_bytes(tree, form):
    """Output is deterministic: the order in which a tree was made leaves no trace."""
    root, store = tree
    devices = [Device(store.source, store.size)]
    first, second = io.BytesIO(), io.BytesIO()
    write_index(root, devices, first, uuid=UUID, form=form, read=store.read)
    for _, node in list(walk(root)):
        if node.children:
            items = sorted(node.children.items(), reverse=True)
            node.children.clear()
            node.children.update(items)
    write_index(root, devices, second, uuid=UUID, form=form, read=store.read)
    assert first.getvalue() == second.getvalue()
