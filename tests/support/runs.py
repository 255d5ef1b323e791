"""Containers that run, and what is left of them."""

import os
import sys
from pathlib import Path

from orlop._sys.mountinfo import iter_mounts

CGROUPS = Path("/sys/fs/cgroup")
MAIN = [sys.executable, "-c", "import sys; from orlop.cli.main import main; sys.exit(main())"]


def mounts_below(place):
    top = os.fsencode(os.path.realpath(place)) + b"/"
    found = (info.mount_point for info in iter_mounts())
    return [os.fsdecode(each) for each in found if each.startswith(top)]


def left_of(store):
    """What there is of containers: records, mounts, and directories for this boot."""
    store.storage.let_go()
    state = sorted(str(path.relative_to(store.run)) for path in store.run.glob("containers/*/*"))
    return [each.id for each in store.containers.list()], mounts_below(store.run), state


def groups_of(container):
    """The control groups of a container."""
    return [path for path in CGROUPS.glob(f"*/*{container}*") if path.is_dir()]
