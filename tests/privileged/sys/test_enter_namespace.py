"""A user without privilege becomes root of a namespace, and can then do what containers need."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import orlop
from orlop._sys.enter import enter_user_namespace
from orlop._sys.mountinfo import iter_mounts
from orlop._sys.process import CAP_SETUID, has_capability
from support.marks import needs_root, needs_tools
from support.nobody import NOBODY, unprivileged_place
from support.unprivileged import run_as_nobody

pytestmark = [*needs_root, *needs_tools("newuidmap", "newgidmap")]

SUBORDINATE = "nobody:200000:65536\n"
CAPABILITY = struct.pack("<6I", 0x03000001, 1 << 10, 0, 0, 0, 5)
ENTER = """\
import os, sys
from pathlib import Path
from orlop._sys.enter import enter_user_namespace
from orlop.drivers import mount_overlay, unmount
from orlop.errors import OrlopError
from orlop.idmap import IdMapping
def enter(*mapping):
    try:
        return enter_user_namespace(*mapping)
    except OrlopError as error:
        print(type(error).__name__, error, error.hint, sep=": ")
        sys.exit()
"""
UIDS, GIDS = (
    f"print(Path('/proc/self/{kind}_map').read_text().split())\n" for kind in ("uid", "gid")
)
MOUNT = """\
for name in ("lower", "upper", "work", "target"):
    os.mkdir(name)
open("lower/file", "w").close()
mount = mount_overlay(["lower"], "target", upper="upper", work="work", nosuid=False)
open("target/new", "w").close()
{more}
print(sorted(os.listdir("target")))
unmount("target", mount_id=mount.mount_id)
"""


@pytest.fixture
def home():
    with unprivileged_place() as place:
        yield place
        assert not [info for info in iter_mounts() if str(place).encode() in info.mount_point]


def run(code, home, **options):
    options.setdefault("subordinate", "")
    done = run_as_nobody(["-W", "error", "-c", ENTER + code], home, **options)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_with_subordinate_ids(home):
    code = (
        "enter()\n"
        "print(os.getresuid(), os.getresgid())\n"
        + UIDS
        + GIDS
        + MOUNT.format(more="os.chown('target/new', 5, 6)\nos.chown('target/file', 65536, 1)")
    )
    assert run(code, home, gain=True, subordinate=SUBORDINATE) == [
        "(0, 0, 0) (0, 0, 0)",
        *[f"['0', '{NOBODY}', '1', '1', '200000', '65536']"] * 2,
        "['file', 'new']",
    ]
    found = [(home / "upper" / name).stat() for name in ("new", "file")]
    assert [(status.st_uid, status.st_gid) for status in found] == [
        (200_004, 200_005), (265_535, 200_000)
    ]  # fmt: skip
    assert (home / "lower/file").stat().st_uid == NOBODY


def test_without_subordinate_ids_there_is_one_id(home):
    code = "print(enter().uids)\n" + UIDS + MOUNT.format(more="")
    assert run(code, home) == [
        f"(IdRange(container=0, host={NOBODY}, size=1),)",
        f"['0', '{NOBODY}', '1']",
        "['file', 'new']",
    ]
    assert (home / "upper/new").stat().st_uid == NOBODY


def test_capabilities_of_other_namespaces_are_not_read(home):
    (home / "file").touch()
    os.setxattr(home / "file", "security.capability", CAPABILITY)
    code = (
        "from orlop._sys.xattr import xattrs_at\n"
        "fd = os.open('.', os.O_RDONLY)\n"
        "print(list(xattrs_at(fd, b'file')))\n"
        "enter()\n"
        "print(os.listxattr('file'), xattrs_at(fd, b'file'))\n"
    )
    assert run(code, home) == ["[b'security.capability']", "['security.capability'] {}"]


def test_a_mapping_of_ones_own(home):
    code = "enter(IdMapping.parse(['0:200000:10', '10:65534:1']))\n" + UIDS
    lines = run(code, home, gain=True, subordinate=SUBORDINATE)
    assert lines == [f"['0', '200000', '10', '10', '{NOBODY}', '1']"]


def test_ids_of_others_are_refused(home):
    code = "enter(IdMapping.parse(['0:300000:10']))"
    (line,) = run(code, home, gain=True, subordinate=SUBORDINATE)
    assert line.startswith("UnsupportedError: /")
    assert "newuidmap refused to map ids: newuidmap: uid range [0-10) -> [300000-300010)" in line


def test_programs_that_gain_no_privilege(home):
    (line,) = run("enter()", home, subordinate=SUBORDINATE)
    assert line.startswith("UnsupportedError: ")
    assert "refused to map ids" in line
    assert "no_new_privs" in line


def test_missing_programs_are_named(home):
    code = "os.environ['PATH'] = '/none'\nenter()"
    (line,) = run(code, home, subordinate=SUBORDINATE)
    assert "the program newuidmap is not installed" in line
    assert "package uidmap" in line


def test_threads_are_in_the_way(home):
    code = (
        "from threading import Event, Thread\n"
        "event = Event()\n"
        "Thread(target=event.wait, daemon=True).start()\n"
        "enter()"
    )
    (line,) = run(code, home)
    assert line.startswith("UnsupportedError: a process with 2 threads cannot")


def test_root_has_to_say_which_ids():
    if has_capability(CAP_SETUID):
        with pytest.raises(ValueError, match="say which"):
            enter_user_namespace()


def test_root_becomes_the_root_of_a_container(home):
    home.chmod(0o777)
    code = (
        "enter(IdMapping.parse(['0:300000:65536']))\n"
        "print(os.getresuid(), os.getresgid(), os.getgroups())\n" + MOUNT.format(more="")
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ENTER + code],
        cwd=home, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(orlop.__file__).parents[1])},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["(0, 0, 0) (0, 0, 0) []", "['file', 'new']"]
    assert (home / "upper/new").stat().st_uid == 300_000
