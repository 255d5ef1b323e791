"""Processes killed between any two steps, beside others that go on: nothing done is lost."""

import time
from functools import partial

import pytest

import orlop
from support.images import ImageBuilder, file
from support.killed import BASE, SHARED, Worker, verify

KILLS = {"erofs": 150, "overlay": 75, "vfs": 75}
WORKERS = 3


def is_fine(finding):
    """What a killed process may leave: garbage, or something derived that is made again."""
    return finding.damage == "leftover" or (
        finding.remedy == "rebuild" and finding.subject in {"form", "chain"}
    )


@pytest.mark.slow
@pytest.mark.parametrize("driver", KILLS)
def test_killed_between_any_two_steps(tmp_path, driver):
    open_store = partial(orlop.open_store, tmp_path / "root", tmp_path / "run", driver=driver)
    builder = ImageBuilder().layer(*(file(name, text.encode()) for name, text in BASE.items()))
    with open_store() as store:
        store.pull(builder.write(tmp_path / "base").source, tag="base")
        store.containers.create("base", id=SHARED)
    workers = [Worker(number, open_store) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    try:
        for turn in range(KILLS[driver]):
            worker = workers[turn % WORKERS]
            time.sleep(worker.random.uniform(0.005, 0.25))
            worker.kill()
            with open_store() as store:
                worker.settle(store)
                ids = worker.random.sample(sorted(worker.model), min(2, len(worker.model)))
                verify(store, worker.model, ids)
                if turn % 10 == 0:
                    findings = store.check(quick=turn % 30 != 0).findings
                    assert [each for each in findings if not is_fine(each)] == []
            worker.start()
    finally:
        for worker in workers:
            worker.kill()
    with open_store() as store:
        for worker in workers:
            worker.settle(store)
        repaired = store.repair()
        assert repaired.left.findings == ()
        assert repaired.removed == ()
        store.collect()
        assert store.check().findings == ()
        for worker in workers:
            verify(store, worker.model)
        # This process keeps the mounts of stacks for its next container until it collects.
        store.collect()
        assert store.mounts() == []
        store.wipe()
        assert store.usage().total == 0
    done = sum(sum(worker.done.values()) for worker in workers)
    kinds = set().union(*(worker.done for worker in workers))
    assert done > KILLS[driver]
    assert len(kinds) >= 14, kinds
