"""Sixteen processes at one store: what their models say must be there is there, and nothing else.

ORLOP_STRESS_SECONDS says how long they work; a minute unless told.
"""

import json
import os
import random
import subprocess
import sys
import time
from itertools import count

import pytest

import orlop
from orlop import layout
from orlop.digest import Digest, chain_ids
from support import crowd
from support.images import ImageBuilder, directory, file
from support.stores import StoreUnderTest

PROCESSES = 16
SECONDS = float(os.environ.get("ORLOP_STRESS_SECONDS", "60"))
KILLING_SECONDS = SECONDS / 4

pytestmark = pytest.mark.slow


@pytest.fixture
def images(tmp_path):
    """Six images that share layers in many ways: each as it was written, by name."""
    made, chance = {}, random.Random(3)
    for number in range(6):
        builder = ImageBuilder(compression=("gzip", "zstd", "none")[number % 3])
        for layer in range(3):
            if (number + layer) % 3:
                data = bytes([layer]) * 200_000
                builder.layer(directory(f"shared-{layer}"), file(f"shared-{layer}/data", data))
        name = f"image-{number}"
        builder.layer(file("which", name.encode()), file("own", chance.randbytes(50_000)))
        made[name] = builder.write(tmp_path / "images", tag=name)
    return made


def test_a_crowd_loses_nothing_and_leaves_nothing(tmp_path, images):
    store = StoreUnderTest(tmp_path)
    ends = run_crowd(tmp_path, store, images)
    assert sum(sum(end["done"].values()) for end in ends) > PROCESSES
    shared = check_names(store, ends, images)
    check_copies(tmp_path / "copied", ends, images)
    store.collect("--unfinished")
    wanted = {image for end in ends for image in end["own"].values()} | set(shared.values())
    check_content(store, [images[name] for name in wanted])
    for record in store.images():
        store.orlop("rm", record["name"])
    store.collect("--unfinished")
    assert store.files() == {"format.json"}
    with orlop.open_store(store.root, store.run) as opened:
        assert opened.leases.list() == ()


def test_those_of_a_crowd_that_are_killed_lose_nothing_and_leave_nothing(tmp_path, images):
    """Of the killed it is not known what they did last: what is named is whole, and is all."""
    store = StoreUnderTest(tmp_path)
    ends = run_crowd_and_kill(tmp_path, store, images)
    by_id = {image_id(each): each for each in images.values()}
    found = {record["name"]: by_id[record["id"]] for record in store.images()}
    for name, image in ((name, image) for end in ends for name, image in end["own"].items()):
        assert found[name] == images[image]
    store.collect("--unfinished")
    check_content(store, found.values())
    for name, image in found.items():
        assert images[store.orlop("cat", name, "/which").out] == image
    copied = layout.DirectoryDriver(tmp_path / "copied")
    layout.collect(copied, unfinished=True)
    assert list(layout.validate(copied)) == []
    assert copied.unfinished() == []
    store.orlop("rm", *found)
    store.collect("--unfinished")
    assert store.files() == {"format.json"}


def run_crowd(place, store, images):
    """Let the processes work, and give the models that they end with."""
    members = [start(place, store, images, number, SECONDS) for number in range(PROCESSES)]
    try:
        return [end_of(member) for member in members]
    finally:
        stop(members)


def run_crowd_and_kill(place, store, images):
    """Let the processes work, and kill one after the other at any moment; the last ones' models."""
    chance, numbers = random.Random(5), count()
    end = time.monotonic() + KILLING_SECONDS

    def begin():
        return start(place, store, images, next(numbers), max(1, end - time.monotonic()))

    members = [begin() for _ in range(PROCESSES)]
    try:
        while time.monotonic() < end:
            time.sleep(chance.uniform(0, 0.3))
            at = chance.randrange(PROCESSES)
            stop([members[at]])
            members[at] = begin()
        return [end_of(member) for member in members]
    finally:
        stop(members)


def start(place, store, images, number, seconds):
    """A process that works for so long."""
    order = place / f"order-{number}.json"
    order.write_text(
        json.dumps(
            {
                "number": number,
                "seed": number,
                "seconds": seconds,
                "root": str(store.root),
                "run": str(store.run),
                "layout": str(place / "copied"),
                "sources": {name: each.source for name, each in images.items()},
                "ids": {name: image_id(each) for name, each in images.items()},
            }
        )
    )
    command = [sys.executable, crowd.__file__, order]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stop(members):
    for member in members:
        member.kill()
        member.communicate()


def end_of(member):
    out, err = member.communicate(timeout=SECONDS + 300)
    assert member.returncode == 0, err
    return json.loads(out)


def check_names(store, ends, images):
    """Own names mean what their owners say; the shared ones, which are given, some image."""
    expected = {name: image for end in ends for name, image in end["own"].items()}
    by_id = {image_id(each): name for name, each in images.items()}
    found = {record["name"]: by_id[record["id"]] for record in store.images()}
    shared = {name: image for name, image in found.items() if name.startswith(crowd.SHARED)}
    assert {name: image for name, image in found.items() if name not in shared} == expected
    for name, image in found.items():
        assert store.orlop("cat", name, "/which").out == image
    return shared


def check_copies(place, ends, images):
    """The layout has each tag, with the manifest that was copied last, and every blob whole."""
    expected = {
        tag: images[name].manifest["digest"] for end in ends for tag, name in end["copies"].items()
    }
    listed = layout.list_images(layout.parse_place(f"oci:{place}"))
    assert {each.selector: each.descriptor.digest for each in listed} == expected
    assert list(layout.validate(layout.DirectoryDriver(place))) == []


def check_content(store, wanted):
    """Exactly what these images need is there."""
    digests, diff_ids, chains = set(), set(), set()
    for image in wanted:
        digests |= {image.manifest["digest"], image_id(image)}
        digests |= {layer["digest"] for layer in image.layers}
        diff_ids |= set(image.diff_ids)
        chains.add(chain_ids([Digest(each) for each in image.diff_ids])[-1])
    assert below(store.root / "blobs/sha256") == digests
    assert below(store.root / "forms/sha256") == diff_ids
    assert below(store.root / "chains/sha256") == chains
    for folder in ("ingest", "staging", "trash"):
        assert below(store.root / folder) == set()


def below(folder):
    return {f"sha256:{name}" for name in os.listdir(folder)} if folder.exists() else set()


def image_id(image):
    return json.loads(image.blob(image.manifest).read_bytes())["config"]["digest"]
