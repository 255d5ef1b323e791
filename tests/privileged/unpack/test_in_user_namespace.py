"""Unpacked by root of a user namespace: with many IDs owners are kept, with one they are noted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.images import ImageBuilder, device, directory, file, symlink
from support.marks import needs_root
from support.nobody import unprivileged_place

pytestmark = needs_root

CHECKOUT = Path(__file__).parents[3]
WORK = """
import json, os, sys
from orlop._sys.enter import enter_user_namespace
from orlop.idmap import IdMapping, IdRange
import orlop
from orlop.unpack import RepackOptions
from support.nobody import load_everything
load_everything()  # Nobody in there may be able to read it.
place, ids, source = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ranges = (IdRange(container=0, host=100_000, size=ids),)
enter_user_namespace(IdMapping(uids=ranges, gids=ranges))
with orlop.open_store(f"{place}/root", f"{place}/run") as store:
    image = store.pull(source, tag="base")
    kept = image.unpack(f"{place}/b").kept
    same = store.repack(f"{place}/b", "same").layer
    hashed = store.repack(f"{place}/b", "same", options=RepackOptions(hash=True)).layer
    rootfs = f"{place}/b/rootfs"
    owner = os.lstat(f"{rootfs}/etc/motd")
    open(f"{rootfs}/etc/new", "w").close()
    open(f"{rootfs}/etc/motd", "a").write("more")
    os.chmod(f"{rootfs}/null", 0o600)
    store.repack(f"{place}/b", "changed")
    tree = store.storage.chains.tree(store.image("changed")._stack)
    etc = tree.children[b"etc"].children
    print(json.dumps({
        "kept": kept, "same": same, "hashed": hashed, "owner": [owner.st_uid, owner.st_gid],
        "motd": [etc[b"motd"].uid, etc[b"motd"].gid], "new": [etc[b"new"].uid, etc[b"new"].gid],
        "null": [oct(tree.children[b"null"].mode), tree.children[b"null"].rdev],
        "link": tree.children[b"link"].uid, "net": len(etc[b"net"].xattrs),
    }))
"""


@pytest.fixture
def place():
    """A directory that everybody may pass through, whatever other tests do meanwhile."""
    with unprivileged_place() as path:
        path.chmod(0o755)
        yield path


@pytest.mark.parametrize(
    ("ids", "kept", "owner"), [(65_536, "owners", [7, 8]), (1, "nothing", [0, 0])]
)
def test_nothing_is_lost(place, ids, kept, owner):
    builder = ImageBuilder()
    builder.layer(
        directory("etc", uid=3), file("etc/motd", b"hi", uid=7, gid=8), symlink("link", "x", uid=9),
        device("null", 1, 3, mode=0o666, uid=4),
        file("etc/net", b"n", pax_headers={"SCHILY.xattr.trusted.note": "kept"}),
    )  # fmt: skip
    layout = builder.write(place / "layout")
    os.chown(place, 100_000, 100_000)
    done = subprocess.run(
        [sys.executable, "-c", WORK, place, str(ids), layout.source],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}/src:{CHECKOUT}/tests"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "kept": kept, "same": None, "hashed": None, "owner": owner, "motd": [7, 8], "new": [0, 0],
        "null": [oct(0o020600), os.makedev(1, 3)], "link": 9, "net": 1,
    }  # fmt: skip
