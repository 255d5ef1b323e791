"""Random stacks of layers, each made in knowledge of the tree that those below it make.

They hold to what archivers do, and umoci can: each path comes once in a layer, after its parents;
hard links come after what they name.
"""

from __future__ import annotations

import random
import tarfile

from support.corners import D, F, H, L, O, W, pax, xattrs
from support.images import device, fifo

NAMES = ("a", "b", "c", "dd", "e f", "\u00fc", "long" * 30)
MODES = (0o644, 0o755, 0o600, 0o4755, 0o2711, 0o1777, 0)


class RandomImage:
    """Layers made at random, each in knowledge of the tree that those below it make.

    Attributes:
        layers: The members of each layer.
    """

    def __init__(self, seed):
        self._random = random.Random(seed)
        self._kinds = {"": "directory"}
        self.layers = []
        repeatable = []
        for _ in range(self._random.randint(1, 4)):
            lower_links = self._chance(0.3)
            self.layers.append(self._layer(lower_links))
            if not lower_links:
                repeatable.append(self.layers[-1])
        if repeatable and self._chance(0.25):
            self.layers.append(self._random.choice(repeatable))

    def _layer(self, lower_links):
        self._done, self._members, late = {}, [self._root()], []
        for path in self._some(range(5)):
            if path in self._kinds and path not in self._done:
                self._forget(path)
                self._enter(path)
                late.append(path)
        for path in self._some(range(2)):
            if self._kinds.get(path) == "directory" and path not in self._done:
                self._make_opaque(path)
        for _ in range(self._random.randint(1, 25)):
            self._add(lower_links)
        for path in late:
            first = self._kinds.get(path) == "directory" or self._chance(0.5)
            position = self._first_below(path) if first else len(self._members)
            self._members.insert(position, W(path))
        return self._members

    def _chance(self, probability):
        return self._random.random() < probability

    def _some(self, counts):
        """A few of the paths that are there."""
        paths = sorted(self._kinds.keys() - {""})
        return self._random.sample(paths, min(len(paths), self._random.choice(counts)))

    def _forget(self, path, itself=True):
        for each in [each for each in self._kinds if each.startswith(f"{path}/")]:
            del self._kinds[each]
        if itself:
            self._kinds.pop(path, None)

    def _enter(self, path):
        """Give the parents of a path their entries."""
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            if parent not in self._done:
                self._put(parent, "directory", self._dressed(D(parent)))

    def _put(self, path, kind, member):
        self._kinds[path] = self._done[path] = kind
        self._members.append(member)

    def _first_below(self, path):
        """Where a whiteout stands before all its siblings, and after their directory."""
        parent = path.rpartition("/")[0]
        names = [info.name.rstrip("/") for info, _ in self._members]
        return names.index(parent or ".") + 1

    def _make_opaque(self, path):
        self._enter(path)
        self._put(path, "directory", self._dressed(D(path)))
        self._forget(path, itself=False)
        self._members.append(O(path))

    def _add(self, lower_links):
        parents = [path for path, kind in self._kinds.items() if kind == "directory"]
        parent = self._random.choice(sorted(parents))
        path = f"{parent}/{self._random.choice(NAMES)}".lstrip("/")
        if path in self._done or path.count("/") > 5:
            return
        kind = self._random.choice(("directory", "file", "file", "symlink", "link", "special"))
        if kind != "directory" and any(each.startswith(f"{path}/") for each in self._done):
            return
        member = getattr(self, f"_{kind}")(path, lower_links)
        if member is None:
            return
        if kind != "directory" or self._kinds.get(path) != "directory":
            self._forget(path)
        self._enter(path)
        self._put(path, kind, member)

    def _root(self):
        return self._dressed(D("./"))

    def _dressed(self, member):
        """The member with random attributes."""
        info, _ = member
        info.mode = self._random.choice(MODES) | (0o700 if info.isdir() else 0)
        info.uid, info.gid = (self._random.choice((0, 7, 1000, 100_000)) for _ in range(2))
        moment = (
            f"{self._random.randint(1, 2_000_000_000)}.{self._random.randint(0, 999_999_999):09d}"
        )
        member = pax(member, mtime=moment)
        if (info.isreg() or info.isdir()) and self._chance(0.2):
            member = xattrs(member, user__x=f"{self._random.random()}", user__y="y" * 300)
        return member

    def _directory(self, path, _):
        return self._dressed(D(path))

    def _file(self, path, _):
        size = self._random.choice((0, 1, 511, 512, 513, 4096, 20_000))
        return self._dressed(F(path, self._random.randbytes(size)))

    def _symlink(self, path, _):
        target = self._random.choice((*self._kinds, "/etc/passwd", "../x", "nowhere")) or "/"
        return self._dressed(L(path, target))

    def _special(self, path, _):
        kind = self._random.choice((tarfile.CHRTYPE, tarfile.BLKTYPE, None))
        numbers = self._random.randint(1, 300), self._random.randint(1, 70_000)
        return self._dressed(device(path, *numbers, kind) if kind else fifo(path))

    def _link(self, path, lower_links):
        known = self._kinds if lower_links else self._done
        targets = [
            each
            for each, kind in known.items()
            if kind != "directory" and each != path and not each.startswith(f"{path}/")
        ]
        return H(path, self._random.choice(targets)) if targets else None
