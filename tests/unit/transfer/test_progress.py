"""What a pull tells about itself, and what becomes of it when nobody wants to hear that."""

import random
import threading

import pytest

import orlop
from orlop.transfer import Stage
from support.images import ImageBuilder, file


@pytest.fixture
def store(tmp_path):
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        yield store


@pytest.fixture
def layout(tmp_path):
    """An image whose layers share no lock, so that none waits for another: the same each time."""
    builder = ImageBuilder()
    for number in range(3):
        builder.layer(file(f"file-{number}", random.Random(number).randbytes(2_500_000)))
    layout = builder.write(tmp_path / "layout", tag="box")
    assert len({diff_id[:9] for diff_id in layout.diff_ids}) == 3
    return layout


def steps_of(store, source, **options):
    steps = []
    store.pull(source, driver="directory", progress=steps.append, **options)
    return steps


def by_layer(steps):
    found = {}
    for step in steps:
        found.setdefault(step.digest, []).append(step)
    return found


def test_each_layer_is_fetched_and_done(store, layout):
    found = by_layer(steps_of(store, layout.source))
    for layer in layout.layers:
        steps = found[layer["digest"]]
        assert [step.stage for step in steps[:-1]] == [Stage.FETCH] * (len(steps) - 1)
        assert steps[-1].stage is Stage.DONE
        assert {step.total for step in steps} == {layer["size"]}
        done = [step.done for step in steps]
        assert done == sorted(done)
        assert done[-1] == layer["size"]
        assert len(steps) > 3


def test_the_last_step_is_that_all_become_one(store, layout):
    steps = steps_of(store, layout.source)
    assert steps[-1].stage is Stage.MERGE
    assert steps[-1].digest == layout.manifest["digest"]
    assert [step.stage for step in steps].count(Stage.MERGE) == 1


def test_what_is_here_is_told_to_be(store, layout):
    steps_of(store, layout.source)
    found = by_layer(steps_of(store, layout.source))
    for layer in layout.layers:
        (step,) = found[layer["digest"]]
        assert (step.stage, step.done) == (Stage.PRESENT, layer["size"])


def test_what_is_here_and_not_unpacked_is_unpacked(store, layout):
    steps_of(store, layout.source)
    with store._storage.database.write() as tx:
        tx.execute("DELETE FROM forms")
    found = by_layer(steps_of(store, layout.source))
    for layer in layout.layers:
        steps = found[layer["digest"]]
        assert {step.stage for step in steps[:-1]} == {Stage.UNPACK}
        assert steps[-1].stage is Stage.DONE


def test_nobody_is_told_two_things_at_once(store, layout):
    inside = threading.Lock()
    threads = set()

    def listen(step):
        assert inside.acquire(blocking=False)
        threads.add(threading.current_thread().name)
        inside.release()

    store.pull(layout.source, driver="directory", progress=listen, jobs=3)
    assert len(threads) > 1


class EnoughError(Exception):
    pass


@pytest.mark.parametrize("stage", [Stage.FETCH, Stage.DONE, Stage.MERGE])
def test_a_listener_that_fails_stops_the_pull(store, layout, stage):
    def listen(step):
        if step.stage is stage:
            raise EnoughError

    with pytest.raises(EnoughError):
        store.pull(layout.source, tag="box", driver="directory", progress=listen)
    assert store.images() == []
    assert [thread for thread in threading.enumerate() if thread.name.startswith("orlop")] == []
    assert store.pull(layout.source, tag="box", driver="directory").read("file-0")


def test_a_pull_that_goes_on_never_tells_less_than_before(store, layout):
    largest = max(layout.layers, key=lambda layer: layer["size"])["digest"]

    def stop(step):
        if step.digest == largest and step.done > 1_000_000:
            raise EnoughError

    with pytest.raises(EnoughError):
        store.pull(layout.source, driver="directory", progress=stop)
    done = [step.done for step in by_layer(steps_of(store, layout.source))[largest]]
    assert done == sorted(done)
    assert done[0] > 1_000_000
