"""OCI runtimes, which run containers from bundles; each has a state directory of its own.

outcome = Runtime("runc", tmp_path / "state").run(bundle.path, "demo")
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from support.images import directory, file, symlink
from support.machine import busybox
from support.marks import needs_tools

RUNTIMES = [pytest.param(name, marks=needs_tools(name)) for name in ("runc", "crun")]
UNIFIED = Path("/sys/fs/cgroup/unified")
APPLETS = (
    *("cat", "chmod", "echo", "env", "grep", "hostname", "id", "ls", "mkdir", "mount", "mv"),
    *("pwd", "rm", "sh", "sleep", "stat", "test", "touch", "true"),
)
PASSWD = b"root:x:0:0::/root:/bin/sh\nbob:x:1000:100::/home/bob:/bin/sh\n"
GROUP = b"root:x:0:\nusers:x:100:\nwheel:x:10:bob\n"


shell = cache(busybox)


def base_members():
    """The members of a layer with a shell, its programs, and two users."""
    yield directory("bin")
    yield file("bin/busybox", shell(), 0o755)
    for name in APPLETS:
        yield symlink(f"bin/{name}", "busybox")
    yield directory("etc")
    yield file("etc/passwd", PASSWD)
    yield file("etc/group", GROUP)
    yield directory("tmp", 0o1777)


@dataclass(frozen=True)
class Ran:
    """How a container ended."""

    code: int
    out: str
    err: str


class Runtime:
    """A runtime.

    Args:
        name: `runc` or `crun`.
        state: Where it keeps what it knows of its containers.
        user: The user that starts it; this process's where None.
    """

    def __init__(self, name, state, user=None):
        self.name = name
        self.state = state
        self.user = user

    def command(self, *words):
        words = [self.name, "--root", str(self.state), *map(str, words)]
        if self.user is not None:
            ids = [f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
            words = ["setpriv", *ids, *words]
        controllers = UNIFIED / "cgroup.controllers"
        if self.name != "crun" or not controllers.exists() or not controllers.read_text().strip():
            return words
        # crun 1.8 refuses to start where it sees a second hierarchy with controllers.
        hide = 'umount "$0" 2>/dev/null; exec "$@"'
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", hide, str(UNIFIED), *words]

    def __call__(self, *words, **options):
        done = subprocess.run(
            self.command(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", check=False, timeout=60, **options,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def run(self, bundle, name="demo"):
        """Run a container to its end."""
        return self("run", "--bundle", bundle, name)

    def output(self, bundle, name="demo"):
        """What a container prints, which ends well."""
        done = self.run(bundle, name)
        assert done.code == 0, done
        return done.out
