"""One of many processes that work on one store: random pulls, copies, names and collections.

    python crowd.py '{"number": 0, "root": …, "sources": {…}, …}'

It keeps a model of what its own names must mean, checks it as it goes, and prints it at its end.
Names that all processes fight for are only told, for nobody knows who was last.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import orlop

SHARED = "localhost/shared:"


class Member:
    """One process of a crowd.

    Args:
        order: What it is told: its number, the store, the sources, the layouts, seed and seconds.
    """

    def __init__(self, order):
        self.order = order
        self.random = random.Random(order["seed"])
        self.sources = order["sources"]
        self.ids = order["ids"]
        self.own = {}
        self.copies = {}
        self.done = {}
        self.store = orlop.open_store(order["root"], order["run"])

    def work(self):
        """Do random things until the time is over, and say what must be there."""
        end = time.monotonic() + self.order["seconds"]
        actions = [
            (self.pull, 6), (self.pull_shared, 2), (self.copy, 3), (self.tag, 3), (self.untag, 4),
            (self.read, 4), (self.collect, 3), (self.reopen, 1), (self.lease, 1),
        ]  # fmt: skip
        choices, weights = zip(*actions, strict=True)
        while time.monotonic() < end:
            action = self.random.choices(choices, weights)[0]
            action()
            self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
        self.store.close()
        return {"own": self.own, "copies": self.copies, "done": self.done}

    def pull(self, name=None):
        image = self.random.choice(sorted(self.sources))
        name = name or f"localhost/of-{self.order['number']}:{self.random.randrange(6)}"
        pulled = self.store.pull(self.sources[image], tag=name)
        assert pulled.id == self.ids[image]
        if not name.startswith(SHARED):
            self.own[name] = image

    def pull_shared(self):
        self.pull(f"{SHARED}{self.random.randrange(3)}")

    def copy(self):
        """Copy an own image into a layout that all processes write to."""
        name = self._choose()
        if name is None:
            return
        tag = f"of-{self.order['number']}-{self.random.randrange(4)}"
        orlop.copy(f"store:{name}", f"oci:{self.order['layout']}:{tag}", store=self.store)
        self.copies[tag] = self.own[name]

    def tag(self):
        name = self._choose()
        if name is not None:
            new = f"localhost/of-{self.order['number']}:{self.random.randrange(6)}"
            self.store.tag(name, new)
            self.own[new] = self.own[name]

    def untag(self):
        name = self._choose()
        if name is not None:
            self.store.untag(name)
            del self.own[name]

    def read(self):
        """What an own name means is there, whole."""
        name = self._choose()
        if name is None:
            return
        image = self.store.image(name)
        assert image.id == self.ids[self.own[name]], name
        for layer in image.manifest.layers:
            with self.store.content().open(layer.digest, layer.size) as blob:
                blob.readall()
        assert image.read("/which") == self.own[name].encode()

    def collect(self):
        self.store.collect()

    def reopen(self):
        self.store.close()
        self.store = orlop.open_store(self.order["root"], self.order["run"])

    def lease(self):
        """What a lease holds outlives its names, as long as the lease does."""
        name = self._choose()
        if name is None:
            return
        image = self.store.image(name)
        with self.store.lease("test") as lease:
            lease.hold("blob", image.manifest_digest)
            self.store.untag(name)
            del self.own[name]
            self.store.collect()
            layer = image.manifest.layers[-1]
            with self.store.content().open(layer.digest, layer.size) as blob:
                blob.readall()

    def _choose(self):
        return self.random.choice(sorted(self.own)) if self.own else None


def main():
    order = json.loads(Path(sys.argv[1]).read_text())
    sys.stdout.write(json.dumps(Member(order).work()))


if __name__ == "__main__":
    main()
