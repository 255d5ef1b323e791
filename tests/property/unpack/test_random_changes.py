"""Whatever is changed in an unpacked image, its repack unpacks to the same directory.

As root, where there is one, and as nobody, whose files have their owners in attributes.
"""

import random
from pathlib import Path

import pytest

import orlop
from orlop.testing.storage.changes import RandomChanges
from orlop.testing.storage.plain import PlainDirectory
from orlop.testing.storage.powers import Powers
from orlop.unpack import RepackOptions
from support.images import ImageBuilder, device, directory, fifo, file, hardlink, symlink
from support.marks import needs_root
from support.nobody import as_nobody, unprivileged_place
from support.views import differences, view

SEEDS = range(4)
CHANGES = 40


def builder():
    return ImageBuilder().layer(
        directory("d", uid=5), file("d/a", b"x", uid=33, gid=8), file("d/m", b"x", gid=8),
        device("d/null", 1, 3, uid=3, mode=0o666), symlink("b", "a", uid=4), fifo("c", uid=6),
        hardlink("d/n", "d/a"),
    )  # fmt: skip


def change(place, seed):
    """Unpack, change and repack three times; what was wrong."""
    choice = random.Random(seed)
    wrong = []
    with orlop.open_store(place / "root", place / "run") as store:
        image = store.pull(f"oci:{place}/layout:latest", tag="base")
        for number in range(3):
            path = place / f"{seed}-{number}"
            image.unpack(path)
            plain = PlainDirectory(path / "rootfs", overlay=False)
            RandomChanges(choice, Powers.of_this_process(), plain).run(None, CHANGES)
            made = store.repack(path, "made", options=RepackOptions(refresh=choice.random() < 0.5))
            again = store.repack(path, "again", options=RepackOptions(hash=True))
            if again.layer not in {made.layer, None}:
                wrong.append(f"by content {again.layer}, by records {made.layer}")
            plain.drop_sockets()
            image = store.image("made")
            image.unpack(place / f"{seed}-{number}-again")
            unpacked = place / f"{seed}-{number}-again/rootfs"
            wrong += differences(view(path / "rootfs"), view(unpacked))
    return wrong


@pytest.mark.parametrize("seed", SEEDS)
def test_without_privilege(seed):
    with unprivileged_place() as place:
        as_nobody(builder().write, place / "layout")
        assert as_nobody(change, place, seed) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_as_root(seed, tmp_path):
    builder().write(tmp_path / "layout")
    assert change(Path(tmp_path), seed) == []


test_as_root = needs_root[1](needs_root[0](test_as_root))
