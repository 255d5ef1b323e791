"""The walk step by step does what the kernel's own call does."""

import errno
import os
import shutil
import tempfile
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orlop._sys import openat2
from orlop._sys.openat2 import RESOLVE_BENEATH, RESOLVE_IN_ROOT, open_beneath, open_in_root, walk

STEPS = st.sampled_from([b"a", b"b", b"a", b"b", b"c", b"..", b".", b""])
PATHS = st.builds(
    lambda front, steps, end: front + b"/".join(steps) + end,
    st.sampled_from([b"", b"", b"/"]),
    st.lists(STEPS, min_size=1, max_size=4),
    st.sampled_from([b"", b"", b"/", b"/."]),
)
ENTRIES = st.one_of(st.just("dir"), st.just("file"), PATHS.filter(bool), PATHS.filter(bool))
PLACES = [b"/".join(steps) for count in (1, 2, 3) for steps in product([b"a", b"b"], repeat=count)]
TREES = st.dictionaries(st.sampled_from(PLACES), ENTRIES, min_size=4)
FLAGS = st.sampled_from(
    [os.O_RDONLY, os.O_PATH, os.O_PATH | os.O_NOFOLLOW, os.O_RDONLY | os.O_DIRECTORY]
)


@pytest.fixture(scope="module")
def _kernel():
    if not openat2._has_openat2():
        pytest.skip("this kernel or its seccomp profile refuses openat2")


SCOPES = ((RESOLVE_IN_ROOT, open_in_root), (RESOLVE_BENEATH, open_beneath))


def build(top, tree):
    """Make the tree's entries, each in a real directory: nothing is made through a link."""
    for path, entry in tree.items():
        place = os.path.join(top, path)
        parent = os.path.dirname(place)
        if os.path.lexists(place) or os.path.realpath(parent) != parent:
            continue
        if parent != top and not os.path.isdir(parent):
            if os.path.lexists(parent) or os.path.dirname(parent) != top:
                continue
            os.mkdir(parent)
        if entry == "dir":
            os.mkdir(place)
        elif entry == "file":
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        else:
            os.symlink(entry, place)


def outcome(open_, *arguments, **options):
    """What was opened, or the error."""
    try:
        fd = open_(*arguments, **options)
    except OSError as error:
        return errno.errorcode[error.errno]
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


@pytest.mark.usefixtures("_kernel")
@settings(deadline=None, max_examples=60)
@given(
    tree=TREES, paths=st.lists(PATHS, min_size=20, max_size=40), flags=FLAGS, follow=st.booleans()
)
@example(tree={b"a": "dir", b"b": b"a/"}, paths=[b"b/../a"], flags=os.O_PATH, follow=True)
def test_the_walk_opens_what_openat2_opens(tree, paths, flags, follow):
    """openat2(2): RESOLVE_IN_ROOT treats dirfd as the root, RESOLVE_BENEATH lets nothing out."""
    outer = os.path.realpath(tempfile.mkdtemp()).encode()
    try:
        top = os.path.join(outer, b"top")
        os.mkdir(top)
        os.mkdir(os.path.join(outer, b"a"))
        build(top, tree)
        fd = os.open(top, os.O_PATH)
        try:
            for path, (scope, open_) in product(paths, SCOPES):
                expected = outcome(open_, fd, path, flags, follow=follow)
                assert outcome(walk, fd, path, flags, 0, scope, follow=follow) == expected
        finally:
            os.close(fd)
    finally:
        shutil.rmtree(outer)
