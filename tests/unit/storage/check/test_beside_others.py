"""A check, and a repair by force, beside processes that make and delete layers all the time."""

import io
import multiprocessing
import os
import time

import pytest

from orlop.storage.storage import Storage
from support.images import directory, file, tar

SECONDS = 3.0


def make_and_delete(places, number, stop, made):
    """Make layers of every kind, and delete half of them; what stays is told."""
    with Storage.open(places, driver="vfs") as storage:
        turn, kept = 0, []
        while not stop.is_set():
            turn += 1
            archive = tar(directory("d"), file(f"d/{number}", b"%d" % turn))
            base = storage.layers.put(io.BytesIO(archive), names=[f"{number}-{turn}"])
            layer = storage.layers.create(base.id)
            with storage.layers.mount(layer.id) as path:
                (path / "written").write_text(str(turn))
            storage.layers.data.put(layer.id, "item", b"%d" % turn)
            container = storage.containers.create(layer=base.id)
            storage.containers.directory(container.id)
            storage.containers.data.put(container.id, "item", b"data")
            if turn % 2:
                storage.containers.delete(container.id)
                storage.layers.delete(layer.id)
                storage.layers.delete(base.id)
            else:
                kept.append((base.id, layer.id, container.id, turn))
        made.put(kept)


@pytest.mark.parametrize("repairing", [False, True])
def test_what_others_make_is_neither_told_nor_removed(places, storage, repairing):
    context = multiprocessing.get_context("fork")
    stop, made = context.Event(), context.Queue()
    workers = [
        context.Process(target=make_and_delete, args=(places, number, stop, made))
        for number in range(2)
    ]
    for worker in workers:
        worker.start()
    try:
        end = time.monotonic() + SECONDS
        checks = 0
        while time.monotonic() < end:
            checks += 1
            if repairing:
                repaired = storage.repair(force=True)
                assert repaired.mended == repaired.failed == repaired.removed == ()
                assert repaired.left.findings == ()
            else:
                assert storage.check(quick=bool(checks % 2)).findings == ()
    finally:
        stop.set()
        kept = [item for _ in workers for item in made.get(timeout=20)]
        for worker in workers:
            worker.join(20)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert checks > 2
    assert len(kept) > 2
    for base, layer, container, turn in kept:
        assert storage.layers.get(base).diff_id is not None
        with storage.layers.mount(layer, read_only=True) as path:
            assert (path / "written").read_text() == str(turn)
        assert storage.layers.data.get(layer, "item") == b"%d" % turn
        assert storage.containers.data.get(container, "item") == b"data"
        assert os.path.isdir(storage.places.object("container", container) / "userdata")
    assert storage.check().findings == ()
