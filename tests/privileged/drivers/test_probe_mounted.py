"""What is mounted already shows what can be mounted, but only to those who may."""

import subprocess
import sys

import pytest

import orlop
from orlop.drivers.probing import mounts_erofs_already
from support.images import ImageBuilder, file

LOOK = """
import orlop, sys
with orlop.open_store(sys.argv[1], sys.argv[2]) as store:
    print(store.storage.mountables.mounts_erofs)
"""


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        if not store.storage.mountables.mounts_erofs:
            pytest.skip("the kernel mounts no such images")
        store.pull(ImageBuilder().layer(file("f")).write(tmp_path / "layout").source, tag="box")
        yield store


def test_it_is_not_tried_where_one_is_mounted(store, monkeypatch):
    assert not mounts_erofs_already(store.root)
    with store.image("box").mount(), orlop.open_store(store.root, store.run) as other:
        assert mounts_erofs_already(store.root)
        assert not mounts_erofs_already(store.root.parent / "roo")
        monkeypatch.setattr("orlop.storage.mountable.probe_erofs", None)
        assert other.storage.mountables.mounts_erofs


def test_in_a_user_namespace_the_mounts_of_others_prove_nothing(store):
    with store.image("box").mount():
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", LOOK,
             store.root, store.run],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
