"""Random commands do the same with `containers-storage` and with `orlop-storage`."""

import json
import os
import random
import shutil

import pytest

from support.marks import needs_root, needs_tools

pytestmark = [*needs_tools("containers-storage"), *needs_root]


class Words:
    """Commands chosen at random, of a small vocabulary, so that they meet each other's results.

    Only IDs are given where the peer takes names for nobody's, and nobody writes to a layer that
    another one stands on: see the tests at the end.
    """

    layers = ("l1", "l2", "l3", "l4")
    images = ("i1", "i2")
    containers = ("k1", "k2")
    names = ("n1", "n2", "n3")

    def __init__(self, seed, both):
        self.random = random.Random(seed)
        self.both = both
        self.tars = [both.make_tar(f"t{n}", {f"f{n}": b"x" * n, f"s{n}/g": b"y"}) for n in (1, 2)]

    def next(self):
        pick = self.random.choice
        every = (*self.layers, *self.images, *self.containers, "nothing")
        return pick(
            [
                lambda: ("create-layer", "-i", pick(self.layers), *self._parent()),
                lambda: (
                    "create-layer",
                    "-i",
                    pick(self.layers),
                    "-n",
                    pick(self.names),
                    *self._parent(),
                ),
                lambda: (
                    "import-layer",
                    "-i",
                    pick(self.layers),
                    "-f",
                    pick(self.tars),
                    *self._parent(),
                ),
                lambda: ("create-image", "-i", pick(self.images), pick((*self.layers, ""))),
                lambda: (
                    "create-image",
                    "-i",
                    pick(self.images),
                    "-n",
                    pick(self.names),
                    pick(self.layers),
                ),
                lambda: ("create-container", "-i", pick(self.containers), pick((*self.images, ""))),
                lambda: ("delete-layer", pick(self.layers)),
                lambda: ("delete-image", pick(self.images)),
                lambda: ("delete-image", "-t", "-j", pick(self.images)),
                lambda: ("delete-container", pick(self.containers)),
                lambda: ("delete", "-j", pick((*self.containers, "nothing"))),
                lambda: ("add-names", "-j", "-n", pick(self.names), pick(every)),
                lambda: (
                    "set-names",
                    "-j",
                    "-n",
                    pick(self.names),
                    "-n",
                    pick(self.names),
                    pick(every),
                ),
                lambda: ("get-names", pick((*every, *self.names))),
                lambda: ("set-metadata", "-m", pick(("one", "two")), pick(every)),
                lambda: ("metadata", "-j", *self.random.sample(every, 3)),
                lambda: (
                    "set-image-data",
                    "-f",
                    f"{self.both.place}/hello",
                    pick(self.images),
                    pick(("manifest", "d")),
                ),
                lambda: (
                    "set-container-data",
                    "-f",
                    f"{self.both.place}/hello",
                    pick(self.containers),
                    pick(("d1", "d2")),
                ),
                lambda: ("list-image-data", "-j", pick(self.images)),
                lambda: ("get-container-data-digest", pick(self.containers), pick(("d1", "d2"))),
                lambda: ("mounted", "-j", pick(every)),
                lambda: ("exists", "-j", *self.random.sample((*every, *self.names), 3)),
                lambda: ("changes", pick(self.layers)),
                lambda: ("changes", "-j", pick(self.layers), *self._known()),
                lambda: ("diffsize", pick(self.layers)),
                lambda: ("layers",),
                lambda: ("layers", "-t"),
                lambda: ("layers", "-j"),
                lambda: ("images",),
                lambda: ("images", "-j"),
                lambda: ("containers",),
                lambda: ("containers", "-j"),
                lambda: ("image", pick((*self.images, *self.names))),
                lambda: ("container", pick(self.containers)),
                lambda: ("layer", "-j", pick(self.layers)),
                lambda: self._write,
                lambda: self._write,
            ]
        )()

    def _parent(self):
        return self.random.choice([(), (self.random.choice(self.layers),)])

    def _known(self):
        """A layer that there is, if any: with what is not there the peer compares at random."""
        known = json.loads(self.both.ours.raw("layers", "-j"))
        found = [each["id"] for each in known if each["id"] in self.layers]
        return [self.random.choice(found)] if found else []

    def _write(self):
        """Change the files of a container, or of a layer that nothing stands on yet."""
        both = self.both
        known = json.loads(both.ours.raw("layers", "-j"))
        below = {each.get("parent") for each in known}
        free = [
            each["id"] for each in known if each["id"] not in below and each["id"] in self.layers
        ]
        containers = [each["id"] for each in json.loads(both.ours.raw("containers", "-j"))]
        keys = [*containers, *free]
        if not keys:
            return
        key, name, gone = (
            self.random.choice(keys),
            self.random.choice("abcs"),
            self.random.random() < 0.3,
        )
        text = "".join(self.random.choices("xyz", k=self.random.randrange(1, 9)))
        both.change(key, lambda path: _scribble(path, name, text, gone=gone))


def _scribble(path, name, text, *, gone):
    for entry in sorted(os.listdir(path)) if gone else ():
        full = os.path.join(path, entry)
        shutil.rmtree(full) if os.path.isdir(full) else os.unlink(full)
        break
    os.makedirs(f"{path}/{name}.d", exist_ok=True)
    with open(f"{path}/{name}.d/{text}", "w") as file:
        file.write(text)
    os.utime(f"{path}/{name}.d/{text}", (0, len(text)))


@pytest.mark.parametrize("seed", range(int(os.environ.get("ORLOP_TEST_SEEDS", "4"))))
def test_commands_at_random(both, seed):
    """The first difference is told with all commands that led to it."""
    words = Words(seed, both)
    for _ in range(60):
        chosen = words.next()
        if callable(chosen):
            chosen()
        else:
            both.same(*chosen)
