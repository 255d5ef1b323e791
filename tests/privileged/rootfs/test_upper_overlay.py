"""The kernel as the judge: what was done in an overlay, read from its upper directory."""

import hashlib
import os
import stat
import struct
import subprocess
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.errors import UnsupportedError
from orlop.rootfs import open_upper, read_tree, read_upper, remove_tree
from orlop.tree import Link, Opaque, Put, Whiteout, merge, walk
from support.marks import needs_root
from support.views import differences, view

pytestmark = needs_root

OPTIONS = "index=off,metacopy=off,redirect_dir=nofollow"
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, bits, who % 2**32)
    for tag, bits, who in [(1, 7, -1), (2, 5, 1000), (4, 5, -1), (16, 5, -1), (32, 1, -1)]
)
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)

PATHS = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/a/b", "a/b/a", "b/a/b"])
XATTRS = st.sampled_from(
    [
        ("user.note", b"x"),
        ("user.note", b"\0\xff"),
        ("trusted.note", b"y"),
        ("trusted.overlay.opaque", b"y"),
        ("trusted.overlay.origin", b"z"),
        ("security.capability", CAPABILITY),
        ("system.posix_acl_access", ACL),
        ("system.posix_acl_default", ACL),
    ]
)
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), PATHS, st.binary(max_size=20)),
    st.tuples(st.just("append"), PATHS, st.binary(min_size=1, max_size=20)),
    st.tuples(st.just("truncate"), PATHS, st.integers(0, 5000)),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("unlink"), PATHS),
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("recreate"), PATHS),
    st.tuples(st.just("symlink"), PATHS, st.sampled_from([b"a", b"/b", b"../nowhere"])),
    st.tuples(st.just("mknod"), PATHS, st.sampled_from([(stat.S_IFCHR, 1, 3), (stat.S_IFIFO, 0, 0),
                                                       (stat.S_IFSOCK, 0, 0)])),
    st.tuples(st.just("link"), PATHS, PATHS),
    st.tuples(st.just("link"), PATHS, PATHS),
    st.tuples(st.just("chmod"), PATHS, st.sampled_from([0o700, 0o4711, 0o1777, 0o000])),
    st.tuples(st.just("chown"), PATHS, st.integers(0, 3)),
    st.tuples(st.just("utime"), PATHS, st.integers(0, 2**31 * 10**9)),
    st.tuples(st.just("setxattr"), PATHS, XATTRS),
    st.tuples(st.just("removexattr"), PATHS, XATTRS),
)  # fmt: skip
BEFORE = st.one_of(
    st.tuples(st.just("make"), PATHS),
    st.tuples(st.just("make"), PATHS, st.binary(max_size=20)),
    OPERATIONS,
)


class Actor:
    """Does operations below a directory; what cannot be done is left."""

    def __init__(self, root):
        self.root = root

    def act(self, operations):
        for name, path, *arguments in operations:
            try:
                getattr(self, name)(f"{self.root}/{path}", *arguments)
            except OSError:
                continue

    def write(self, path, content):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK)
        self._fill(fd, content)

    def append(self, path, content):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)
        self._fill(fd, content)

    @staticmethod
    def _fill(fd, content):
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.write(fd, content)
        finally:
            os.close(fd)

    def truncate(self, path, size):
        if stat.S_ISREG(os.lstat(path).st_mode):
            os.truncate(path, size)

    def make(self, path, content=None):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if content is None:
            os.mkdir(path)
        else:
            self.write(path, content)

    def mkdir(self, path):
        os.mkdir(path)

    def rename(self, path, to):
        os.rename(path, f"{self.root}/{to}")

    def unlink(self, path):
        os.unlink(path)

    def remove(self, path):
        parent = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            remove_tree(parent, os.fsencode(os.path.basename(path)))
        finally:
            os.close(parent)

    def recreate(self, path):
        self.remove(path)
        os.mkdir(path)

    def symlink(self, path, target):
        os.symlink(target, path)

    def mknod(self, path, what):
        os.mknod(path, what[0] | 0o600, os.makedev(*what[1:]))

    def link(self, path, to):
        os.link(path, f"{self.root}/{to}", follow_symlinks=False)

    def chmod(self, path, mode):
        os.chmod(path, mode) if not os.path.islink(path) else None

    def chown(self, path, owner):
        os.chown(path, owner, owner + 1, follow_symlinks=False)

    def utime(self, path, time):
        os.utime(path, ns=(time, time), follow_symlinks=False)

    def setxattr(self, path, attribute):
        os.setxattr(path, *attribute, follow_symlinks=False)

    def removexattr(self, path, attribute):
        os.removexattr(path, attribute[0], follow_symlinks=False)


class Overlay:
    """An overlay on a tmpfs of its own: `lower`, `upper`, and `view` where both are seen."""

    def __init__(self, base):
        self.base = base
        self.lower, self.upper, self.view = base / "lower", base / "upper", base / "view"

    def clear(self):
        fd = os.open(self.base, os.O_RDONLY)
        for name in os.listdir(self.base):
            remove_tree(fd, os.fsencode(name))
        os.close(fd)
        for name in ("lower", "upper", "work", "view"):
            (self.base / name).mkdir()

    @contextmanager
    def mounted(self, options=OPTIONS):
        where = f"lowerdir={self.lower},upperdir={self.upper},workdir={self.base}/work"
        options = f"{where},{options}"
        subprocess.run(["mount", "-t", "overlay", "-o", options, "none", self.view], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", self.view], check=True)

    def read_upper(self, **options):
        """The changeset, the content of files named by its digest."""
        fd = os.open(self.upper, os.O_RDONLY)
        try:
            found = list(read_upper(fd, **options))
            for entry in found:
                if isinstance(entry, Put) and entry.node.size:
                    with open(open_upper(fd, entry.path), "rb") as file:
                        digest = hashlib.file_digest(file, "sha256").hexdigest()
                    entry.node.source = Digest(f"sha256:{digest}")
            return found
        finally:
            os.close(fd)

    def check(self):
        """Compare what is seen with what the upper directory says of it."""
        shown = view(self.view)
        merged = merge(changeset_of(view(self.lower)), self.read_upper())
        assert differences(merged, shown) == []


def changeset_of(root):
    """A tree as the changeset that makes it."""
    first = {}
    for path, node in walk(root):
        seen = first.setdefault(node, path)
        yield Put(path, node) if seen is path else Link(path, seen)


@pytest.fixture
def overlay(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", base], check=True)
    try:
        made = Overlay(base)
        made.clear()
        yield made
    finally:
        subprocess.run(["umount", base], check=True)


def test_what_containers_do_most(overlay):
    for name in ("etc", "usr", "usr/bin", "var", "tmp"):
        (overlay.lower / name).mkdir()
    for name in ("etc/hosts", "usr/bin/a", "usr/bin/b", "var/old", "tmp/x"):
        (overlay.lower / name).write_text(name)
    with overlay.mounted():
        here = overlay.view
        (here / "etc/hosts").write_text("new")
        (here / "usr/bin/a").unlink()
        (here / "usr/bin/c").write_text("c")
        os.link(here / "usr/bin/c", here / "usr/bin/d")
        Actor(here).recreate(f"{here}/var")
        (here / "var/new").write_text("new")
        Actor(here).remove(f"{here}/tmp")
        overlay.check()
        found = [(type(entry), entry.path) for entry in overlay.read_upper()]
    assert found == [
        (Put, b""), (Whiteout, b"tmp"), (Put, b"etc"), (Put, b"etc/hosts"), (Put, b"usr"),
        (Put, b"usr/bin"), (Whiteout, b"usr/bin/a"), (Put, b"usr/bin/c"), (Link, b"usr/bin/d"),
        (Put, b"var"), (Opaque, b"var"), (Put, b"var/new"),
    ]  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(BEFORE, min_size=5, max_size=20), st.lists(OPERATIONS, min_size=5, max_size=25))
def test_the_lower_tree_and_the_changeset_make_what_is_seen(overlay, before, during):
    """Whatever is done in an overlay, its upper directory says it as a layer says it."""
    overlay.clear()
    Actor(overlay.lower).act(each for each in before if "trusted.overlay" not in repr(each))
    with overlay.mounted():
        Actor(overlay.view).act(during)
        overlay.check()


def test_whiteouts_that_are_files_as_the_kernel_takes_them(overlay):
    """In a directory marked `x`, an empty file with the xattr hides what is below."""
    middle = overlay.base / "middle"
    for place in (overlay.lower, middle):
        (place / "d").mkdir(parents=True)
        for file in ("gone", "kept", "full"):
            (place / "d" / file).touch()
    for file in ("gone", "full"):
        os.setxattr(middle / "d" / file, "trusted.overlay.whiteout", b"y")
    (middle / "d/full").write_text("!")
    for marked in (middle, middle / "d"):
        os.setxattr(marked, "trusted.overlay.opaque", b"x")
    overlay.upper = middle
    options = f"lowerdir={middle}:{overlay.lower},{OPTIONS}"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "none", overlay.view], check=True)
    try:
        assert sorted(os.listdir(overlay.view / "d")) == ["full", "kept"]
        overlay.check()
    finally:
        subprocess.run(["umount", overlay.view], check=True)


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ("metacopy=on,redirect_dir=on,index=off", lambda here: os.chmod(here / "d/f", 0o600)),
        ("redirect_dir=on,index=off", lambda here: os.rename(here / "d", here / "e")),
    ],
    ids=["metacopy", "redirect"],
)
def test_overlays_that_keep_parts_below_are_refused(overlay, options, change):
    (overlay.lower / "d").mkdir()
    (overlay.lower / "d/f").write_text("f")
    with overlay.mounted(options):
        change(overlay.view)
    with pytest.raises(UnsupportedError, match=r"/\w.* has the xattr trusted\.overlay\."):
        overlay.read_upper()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_who_cannot_see_the_marks_is_told(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            list(read_upper(fd))
        except UnsupportedError as error:
            status = 0 if "without privilege" in str(error) else 2
        finally:
            os._exit(status)
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_tree_without_marks_is_read_as_read_tree_reads_it(overlay):
    (overlay.upper / "d").mkdir()
    (overlay.upper / "d/f").write_text("f")
    os.link(overlay.upper / "d/f", overlay.upper / "g")
    fd = os.open(overlay.upper, os.O_RDONLY)
    try:
        expected = read_tree(fd, digest_files=True)
    finally:
        os.close(fd)
    assert differences(merge(overlay.read_upper()), expected) == []
