"""`orlop unshare`: a user without privilege keeps the owners of files, in a user namespace."""

import sys

import pytest

from orlop.errors import UnsupportedError
from orlop.storage.places import Places
from orlop.storage.storage import Storage
from support.images import directory, file, tar
from support.marks import needs_root, needs_tools
from support.nobody import NOBODY, unprivileged_place
from support.unprivileged import run_as_nobody

pytestmark = [*needs_root, *needs_tools("newuidmap", "newgidmap")]

MAIN = "import sys; from orlop.cli.main import main; sys.exit(main())"
SUBORDINATE = "nobody:200000:65536\n"


@pytest.fixture
def home():
    with unprivileged_place() as place:
        (place / "layer.tar").write_bytes(tar(directory("d"), file("d/f", b"f", uid=7, gid=8)))
        script = place / "orlop"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{MAIN}" "$@"\n')
        script.chmod(0o755)
        yield place


def orlop(home, *arguments, **options):
    options = {"gain": True, "subordinate": SUBORDINATE, **options}
    return run_as_nobody(["-c", MAIN, *arguments], home, **options)


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_owners_are_kept(home, driver):
    script = f"""
        PATH={home}:$PATH
        id -u
        orlop layer create --id base --from {home}/layer.tar
        orlop container create --layer base --id c
        cd $(orlop container mount c)
        stat -c %u:%g d/f
        touch d/new; chown 65536:1 d/new
        cd /
        orlop container umount c
        orlop container changes c
        orlop layer diff $(orlop layer ls -q | grep -v base) | tar -t --numeric-owner -v |
            sed -n 's/ .*d.new$/ /; s/^-[^ ]* //p'
    """
    done = orlop(home, "--storage-driver", driver, "unshare", "--", "sh", "-ec", script)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[:2] == ["0", "base"]
    assert lines[2:4] == ["c", "7:8"]
    assert "A /d/new" in lines
    found = orlop(home, "container", "ls", "-q")
    assert found.stdout == "c\n"  # the same store as outside
    (new,) = home.rglob("d/new")
    assert (new.stat().st_uid, new.stat().st_gid) == (265_535, 200_000)


def test_what_was_removed_there_shows_nowhere(home):
    """Root of the machine, whose overlays do not see the marks, is refused."""
    script = f"""
        PATH={home}:$PATH
        orlop layer create --id base --from {home}/layer.tar
        orlop layer create base --id box
        cd $(orlop layer mount box)
        rm -r d
        mkdir d
        cd /
        orlop layer umount box
    """
    done = orlop(home, "--root", f"{home}/root", "unshare", "--", "sh", "-ec", script)
    assert done.returncode == 0, done.stderr
    with Storage.open(Places(home / "root", home / "run-root"), driver="overlay") as storage:
        for read_only in (False, True):
            with pytest.raises(UnsupportedError, match="user namespace"):
                storage.layers.mount("box", read_only=read_only)


def test_arguments_reach_the_command(home):
    done = orlop(home, "--root", "here", "unshare", "echo", "a", "-b", "c")
    assert (done.stdout, done.stderr) == ("a -b c\n", "")
    done = orlop(home, "unshare", "--", "echo", "--root", "x", "--help", "--version", "--", "-q")
    assert (done.stdout, done.stderr) == ("--root x --help --version -- -q\n", "")
    done = orlop(home, "--root", "here", "unshare", "sh", "-c", "echo $ORLOP_ROOT $ORLOP_RUN")
    assert done.stdout == f"{home}/here {home}/run/orlop\n"


def test_its_exit_code_is_that_of_the_command(home):
    assert orlop(home, "unshare", "sh", "-c", "exit 7").returncode == 7
    done = orlop(home, "unshare", "no-such-program")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: there is no program 'no-such-program'")


def test_without_a_command_there_is_a_shell(home):
    done = orlop(home, "unshare", input="id -u\n", env={"SHELL": "/bin/sh"})
    assert (done.returncode, done.stdout) == (0, "0\n")


def test_without_subordinate_ids_there_is_one_id(home):
    done = orlop(home, "unshare", "cat", "/proc/self/uid_map", subordinate="")
    assert done.stdout.split() == ["0", str(NOBODY), "1"]


def test_root_needs_none(command):
    command.orlop("unshare", "true").check_failure(2, "root has all IDs already")
