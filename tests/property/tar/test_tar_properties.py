import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from orlop.tar import TarScanner
from orlop.tree import Link

COMPONENTS = st.builds(
    lambda text, times: (text * times)[:60],
    st.text("ab.-_ =%\n\\\xe4\u4e2d\U0001f600\udcff", min_size=1, max_size=6),
    st.sampled_from([1, 1, 20]),
).filter(lambda name: name not in (".", "..") and not name.startswith(".wh."))
NAMES = st.lists(COMPONENTS, min_size=1, max_size=5).map("/".join)
KINDS = st.sampled_from([b"0", b"5", b"2", b"1", b"6", b"3"])
RAW = st.binary(max_size=40).map(lambda value: value.decode("utf-8", "surrogateescape"))


@st.composite
def members(draw, form):
    info = tarfile.TarInfo(draw(NAMES))
    info.type = draw(KINDS)
    info.mode = draw(st.integers(0, 0o7777))
    info.uid = draw(st.integers(0, 2**32 - 2))
    info.gid = draw(st.integers(0, 2**21 - 1))
    info.mtime = draw(st.integers(0 if form == tarfile.PAX_FORMAT else -(2**40), 2**40))
    data = b""
    if info.type == tarfile.REGTYPE:
        data = bytes(draw(st.integers(0, 1500)))
        info.size = len(data)
    elif info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = "target/" + draw(NAMES)
    elif info.type == tarfile.CHRTYPE:
        info.devmajor, info.devminor = draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1))
    if form == tarfile.PAX_FORMAT and draw(st.booleans()):
        info.pax_headers = {"SCHILY.xattr.user.a": draw(RAW.filter(bool))}
    return info, data


@st.composite
def archives(draw):
    form = draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=form) as tar:
        for info, data in draw(st.lists(members(form), max_size=4)):
            tar.addfile(info, io.BytesIO(data))
        size = tar.offset
    return output.getvalue()[: size + 1024]


def scan(stream, chunk_sizes=()):
    scanner = TarScanner(None)
    entries, position = [], 0
    for size in chunk_sizes:
        entries += scanner.feed(stream[position : position + size])
        position += size
    entries += scanner.feed(stream[position:])
    return entries + scanner.close()


def facts(entry):
    if isinstance(entry, Link):
        return (entry.path, entry.target)
    node = entry.node
    values = (getattr(node, name) for name in type(node).__slots__)
    return (type(entry), entry.path, *values)


def raw(text):
    return text.encode("utf-8", "surrogateescape")


@given(archives())
def test_entries_are_those_of_another_reader(stream):
    """A tar archive is the same archive for every reader."""
    entries = scan(stream)
    with tarfile.open(fileobj=io.BytesIO(stream), mode="r:") as tar:
        theirs = tar.getmembers()
    assert len(entries) == len(theirs)
    for entry, info in zip(entries, theirs, strict=True):
        assert entry.path == raw(info.name)
        if isinstance(entry, Link):
            assert (info.type, entry.target) == (tarfile.LNKTYPE, raw(info.linkname))
            continue
        node = entry.node
        mode = 0o777 if info.issym() else info.mode
        assert (node.mode & 0o7777, node.uid, node.gid) == (mode, info.uid, info.gid)
        assert node.mtime_ns == int(info.mtime) * 10**9
        assert node.target == raw(info.linkname)
        attributes = info.pax_headers.get("SCHILY.xattr.user.a")
        assert node.xattrs == ({} if attributes is None else {b"user.a": raw(attributes)})
        if info.isreg():
            assert node.size == info.size
            assert not info.size or node.offset == info.offset_data
        if info.ischr():
            assert (node.rdev >> 8 & 0xFFF, node.rdev & 0xFF | node.rdev >> 12 & 0xFFF00) == (
                info.devmajor,
                info.devminor,
            )


@given(archives(), st.lists(st.integers(0, 2000), max_size=40))
def test_chunks_do_not_matter(stream, chunk_sizes):
    """Any way of cutting a stream into chunks gives the same entries."""
    assert list(map(facts, scan(stream, chunk_sizes))) == list(map(facts, scan(stream)))


@given(archives())
def test_bytes_one_by_one(stream):
    """Any way of cutting a stream into chunks gives the same entries."""
    stream = stream[:6000]
    ones = TarScanner(None)
    entries = [entry for byte in stream for entry in ones.feed(bytes([byte]))]
    assert list(map(facts, entries)) == list(map(facts, TarScanner(None).feed(stream)))
