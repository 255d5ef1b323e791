"""The core of the contract: random histories of layers, each compared with a plain directory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
from typing import TYPE_CHECKING, Final

from orlop.testing.storage.changes import RandomChanges
from orlop.testing.storage.plain import PlainDirectory
from orlop.testing.storage.powers import Powers
from orlop.testing.storage.random_tars import RandomTar
from orlop.testing.storage.views import differences, view, without_links, without_sockets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orlop.compression import CompressionName
    from orlop.storage.storage import Storage
    from orlop.tree import Node

_CHANGES: Final = 25
_MEMBERS: Final = 12
_FORMS: Final[tuple[CompressionName, ...]] = ("none", "gzip", "zstd")
_COMPRESS: Final = (bytes, gzip.compress, bz2.compress, lzma.compress)


def replay(
    storage: Storage, place: Path, seed: int, *, steps: int = 8, others: Sequence[Storage] = ()
) -> None:
    """Play one random history, and see that every layer shows what it must at every step.

    Args:
        storage: The store.
        place: An existing directory, where a plain one is made and left.
        seed: Which history.
        steps: How many steps it has.
        others: Stores, of other drivers: the layers are carried over, and look the same there.

    Raises:
        AssertionError: One shows something else.
    """
    history = History(storage, place, seed)
    try:
        for _ in range(steps):
            history.step()
        history.check_all()
        for other in others:
            history.carry_over(other)
    except BaseException as error:
        error.add_note(f"seed {seed}: " + ", ".join(history.log))
        raise
    finally:
        history.close()


class History:
    """A chain of layers that grows and changes, and what each of them has to show.

    Args:
        storage: The store.
        place: Where the plain directory is made.
        seed: Which history.

    Attributes:
        log: The steps so far.
        layers: The layers, the base first, and what each must show.
    """

    def __init__(self, storage: Storage, place: Path, seed: int) -> None:
        self.log: list[str] = []
        self.layers: dict[str, Node] = {}
        self._storage = storage
        self._random = random.Random(seed)  # noqa: S311
        copied = storage.driver == "vfs"
        self._powers = Powers.of_this_process()
        path = place / f"plain-{seed}"
        path.mkdir()
        path.chmod(0o755)
        self._plain = PlainDirectory(path, overlay=not copied)
        self._changes = RandomChanges(self._random, self._powers, self._plain)
        self._top: str | None = None
        self._writable = False
        self._rooted = False
        self._rootless: set[str] = set()

    def close(self) -> None:
        """Let go of what is held open."""
        self._plain.end()

    def step(self) -> None:
        """Do one thing at random."""
        steps = [self.put, self.child, self.apply, self.commit, self.container]
        if self._writable:
            steps += [self.write, self.write, self.write, self.apply]
        step = self._random.choice(steps)
        self.log.append(step.__name__)
        step()
        assert self._top is not None
        self._check(self._top)

    # The steps.

    def put(self) -> None:
        """A layer out of a tar, on what there is."""
        self._freeze()
        data = self._tar()
        layer = self._storage.layers.put(io.BytesIO(self._compressed(data)), self._top)
        with self._storage.layers.diff(layer.id) as stream:
            assert stream.read() == data
        self._grown(layer.id)
        self._plain.begin()

    def child(self) -> None:
        """A layer that is what its parent is."""
        layer = self._storage.layers.create(self._top)
        self._grown(layer.id)
        self._plain.begin()

    def apply(self) -> None:
        """A tar applied to a layer: a new one, or one that was written to."""
        if not self._writable:
            self.child()
        assert self._top is not None
        self._freeze()
        self._storage.layers.apply_diff(self._top, io.BytesIO(self._compressed(self._tar())))
        self._note()
        self._plain.begin()

    def write(self) -> None:
        """Changes through a mount."""
        assert self._top is not None
        with self._storage.layers.mount(self._top, read_only=False) as path:
            if not self._rooted:
                self._root(path)
            self._changes.run(path, _CHANGES)
            self._compare_written(view(path))
        self._note()

    def container(self) -> None:
        """A layer that is made to be written to, and written to at once."""
        self.child()
        self.write()

    def commit(self) -> None:
        """A container on what there is, committed: its image's top layer goes on."""
        container = self._storage.containers.create(layer=self._top)
        self._plain.begin()
        with self._storage.containers.mount(container.id) as path:
            if not self._rooted:
                self._root(path)
            self._changes.run(path, _CHANGES)
            self._compare_written(view(path))
        compression = self._random.choice(_FORMS)
        image = self._storage.containers.commit(container.id, compression=compression)
        self._storage.containers.delete(container.id)
        self._freeze()
        # The layers below are those of the image from now on.
        self.layers.clear()
        assert image.layer is not None
        self._grown(image.layer)
        self._writable = False

    # What must hold.

    def check_all(self) -> None:
        """Every layer shows what it showed when it was made, or without its sockets."""
        for id in self.layers:  # noqa: A001
            self._check(id)

    def carry_over(self, other: Storage) -> None:
        """The differences of all layers, put on each other in another store, look the same."""
        top = self._top
        chain: list[str] = []
        while top is not None:
            chain.append(top)
            top = self._storage.layers.get(top).parent
        made = None
        for id in reversed(chain):  # noqa: A001
            compression = self._random.choice(_FORMS)
            with self._storage.layers.diff(id, compression=compression) as stream:
                made = other.layers.put(stream, made).id
            if (expected := self.layers.get(id)) is not None:
                with other.layers.mount(made, read_only=True) as path:
                    found = differences(without_sockets(expected), view(path))
                # A difference says nothing of the root where its layer was not frozen.
                assert not _but_root(found), f"carried over to {other.driver}: {found}"

    def _check(self, id: str) -> None:  # noqa: A002
        """A layer shows what it must, mounted so that nothing can be written."""
        with self._storage.layers.mount(id, read_only=True) as path:
            self._compare(self.layers[id], view(path), rooted=id not in self._rootless)

    def _compare_written(self, found: Node) -> None:
        expected = self._plain.view()
        if self._plain.forgets_links:
            expected, found = without_links(expected), without_links(found)
        self._compare(expected, found)

    def _compare(self, expected: Node, found: Node, *, rooted: bool = True) -> None:
        different = differences(expected, found)
        if not rooted:
            different = _but_root(different)
        assert not different, "\n".join(different)

    def _root(self, mounted: Path) -> None:
        """Say what the root is like, which no layer has said yet."""
        for path in (mounted, self._plain.path):
            path.chmod(0o751)
            os.utime(path, ns=(1, 1))
        self._rooted = True

    def _note(self) -> None:
        assert self._top is not None
        self.layers[self._top] = self._plain.view()
        if not self._rooted:
            self._rootless.add(self._top)

    def _grown(self, id: str) -> None:  # noqa: A002
        self._top = id
        self._writable = self._storage.layers.get(id).form is not None
        self._note()

    def _freeze(self) -> None:
        """All layers become tars, which know no sockets."""
        self._plain.drop_sockets()
        for id, expected in self.layers.items():  # noqa: A001
            self.layers[id] = without_sockets(expected)

    def _tar(self) -> bytes:
        return RandomTar(self._random, self._powers, self._plain).make(_MEMBERS)

    def _compressed(self, data: bytes) -> bytes:
        return self._random.choice(_COMPRESS)(data)


def _but_root(different: list[str]) -> list[str]:
    return [line for line in different if line[2:4] != "/ "]
