import io
import os
import tarfile
from pathlib import Path

import pytest

from orlop.errors import (
    InvalidArchiveError,
    LimitExceededError,
    NotFoundError,
    OrlopError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.layout.files.archive import MAX_LINK_HOPS, ArchiveFiles
from orlop.layout.files.extents import read_all
from orlop.tar import TarLimits


@pytest.fixture
def index(tmp_path, kit):
    """Index a tar of members, or of the bytes given."""
    opened = []

    def write(members, **options):
        path = tmp_path / f"{len(opened)}.tar"
        path.write_bytes(members if isinstance(members, bytes) else kit.make_tar(members))
        opened.append(ArchiveFiles(os.open(path, os.O_RDONLY), path, **options))
        return opened[-1]

    yield write
    for files in opened:
        files.close()


def content(files, name):
    with files.open(name) as extent:
        return read_all(extent)


def member(kind, name="x", target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return name, info


def test_members_are_read_where_they_lie(index):
    files = index([("a", b"A" * 700), ("b/c", b""), ("d", b"D")])
    assert content(files, "a") == b"A" * 700
    assert content(files, "b/c") == b""
    assert content(files, "./d") == b"D"
    assert (files.size("a"), files.size("nothing")) == (700, None)


def test_bodies_are_not_read_for_the_index(index, tmp_path, kit):
    """A body of holes takes no time, however large it is."""
    path = tmp_path / "large.tar"
    info = tarfile.TarInfo("large")
    info.size = 1 << 40
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.seek(info.size, os.SEEK_CUR)
        file.write(kit.make_tar([("last", b"last")]))
    files = ArchiveFiles(os.open(path, os.O_RDONLY), path)
    assert files.size("large") == 1 << 40
    assert content(files, "last") == b"last"
    files.close()


def test_links_between_members_are_followed(index):
    hard = member(tarfile.LNKTYPE, "hard", "files/one")
    files = index(
        [("files/one", b"1"), hard, ("v1/layer.tar", "../files/one"), ("v2", "v1/layer.tar")]
    )
    for name in ("files/one", "hard", "v1/layer.tar", "v2"):
        assert content(files, name) == b"1"


def test_a_link_may_precede_its_target(index):
    assert content(index([("link", "file"), ("file", b"1")]), "link") == b"1"


@pytest.mark.parametrize("target", ["../../x", "../../etc/passwd", "/etc/passwd", "b/../../../x"])
def test_a_link_out_of_the_archive_is_refused(index, target):
    with pytest.raises(UnsafePathError, match=r"\.tar"):
        index([("a/link", target), ("x", b"")]).open("a/link")


@pytest.mark.parametrize("links", [{"a": "a"}, {"a": "b", "b": "c", "c": "a"}])
def test_a_circle_of_links_is_refused(index, links):
    with pytest.raises(LimitExceededError) as caught:
        index(list(links.items())).open("a")
    assert caught.value.limit == "MAX_LINK_HOPS"


def test_a_chain_of_links_is_followed_to_its_limit(index):
    links = [(f"l{n}", f"l{n - 1}") for n in range(1, MAX_LINK_HOPS + 1)]
    files = index([("l0", b"end"), *links])
    assert content(files, f"l{MAX_LINK_HOPS - 1}") == b"end"
    with pytest.raises(LimitExceededError):
        files.open(f"l{MAX_LINK_HOPS}")


def test_a_link_to_nothing_is_not_found(index):
    files = index([("link", "nothing")])
    assert files.size("link") is None
    with pytest.raises(NotFoundError, match="link"):
        files.open("link")


def test_hostile_names_are_not_found_or_refused(index):
    files = index([("a", b"1")])
    for name in ("../a", "/a", "b/../../a"):
        with pytest.raises(UnsafePathError):
            files.open(name)
    for name in ("", "a\0", "\udcff", "a" * 100_000):
        with pytest.raises(OrlopError):
            files.open(name)


@pytest.mark.parametrize("name", ["../x", "a/../../x", ".."])
def test_a_member_out_of_the_archive_is_refused(index, name):
    with pytest.raises(UnsafePathError, match=r"\.tar"):
        index([(name, b"")])


def test_a_name_that_comes_twice_is_refused(index):
    for second in (b"2", b"1", "link"):
        with pytest.raises(InvalidArchiveError, match="comes twice"):
            index([("a", b"1"), ("./a", second)])


def test_a_directory_may_come_twice_but_not_as_a_file(index):
    directory = member(tarfile.DIRTYPE, "a")
    files = index([directory, ("a/b", b"1"), directory])
    assert content(files, "a/b") == b"1"
    with pytest.raises(InvalidArchiveError, match="comes twice"):
        index([directory, ("a", b"1")])
    with pytest.raises(UnsafePathError, match="no regular file"):
        files.open("a")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_device_is_no_file(index, kind):
    with pytest.raises(UnsafePathError, match="no regular file"):
        index([member(kind)]).open("x")


def test_a_whiteout_is_a_name_like_others(index):
    assert content(index([(".wh.a", b"1"), (".wh..wh..opq", b"2")]), ".wh.a") == b"1"


def test_a_sparse_member_is_unsupported(index, tmp_path):
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("GNUSparseFile.0/sparse")
        body = b"1\n1048576\n4\n".ljust(512, b"\0") + b"data"
        info.size = len(body)
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "sparse",
            "GNU.sparse.realsize": str(2 << 20),
        }
        tar.addfile(info, io.BytesIO(body))
    with pytest.raises(UnsupportedError, match="sparse"):
        index(output.getvalue()).open("sparse")


@pytest.mark.parametrize("size", [1, 511, 513, 1023, 1535])
def test_an_archive_that_is_cut_short_is_refused(index, kit, size):
    with pytest.raises(InvalidArchiveError, match="tar"):
        index(kit.make_tar([("a", b"1" * 1000)])[:size])


@pytest.mark.parametrize("data", [b"no tar" * 100, b"\xff" * 512, b"{}" + b" " * 510])
def test_what_is_no_tar_is_refused(index, data):
    with pytest.raises(InvalidArchiveError, match="no whole tar"):
        index(data)


def test_an_empty_archive_holds_nothing(index):
    assert index(bytes(1024)).size("a") is None


@pytest.mark.parametrize(
    ("limit", "limits"),
    [
        ("max_entries", TarLimits(max_entries=3)),
        ("max_metadata_size", TarLimits(max_metadata_size=1000)),
    ],
)
def test_more_members_than_allowed_are_refused(index, limit, limits):
    index([(name * 100, b"") for name in "abc"], limits=limits)
    with pytest.raises(LimitExceededError) as caught:
        index([(name * 100, b"") for name in "abcdefghijk"], limits=limits)
    assert caught.value.limit == limit


def test_no_descriptor_stays_open_when_the_index_fails(tmp_path):
    path = tmp_path / "bad"
    path.write_bytes(b"x" * 512)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InvalidArchiveError):
        ArchiveFiles(os.open(path, os.O_RDONLY), Path(path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_extent_outlives_its_archive(index):
    files = index([("a", b"1")])
    extent = files.open("a")
    files.close()
    with extent:
        assert read_all(extent) == b"1"
    with pytest.raises(ValueError, match="closed"):
        files.open("a")
