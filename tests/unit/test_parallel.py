import os
import signal
import threading
import time

import pytest

from orlop.parallel import (
    Cancellation,
    CancelledError,
    current_cancellation,
    run_all,
    run_tree,
)


def run(tasks, jobs=3, cancellation=None):
    return run_all(tasks, jobs=jobs, cancellation=cancellation or Cancellation())


def test_results_come_in_the_order_of_the_tasks():
    gates = [threading.Event() for _ in range(3)]

    def task(number):
        if number < 2:
            gates[number + 1].wait(10)
        gates[number].set()
        return number

    assert run([lambda number=number: task(number) for number in range(3)]) == [0, 1, 2]


def test_no_tasks():
    assert run([]) == []


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_no_more_run_at_once_than_jobs(jobs):
    running, most, lock = [], [], threading.Lock()

    def task():
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.005)
        with lock:
            running.pop()

    run([task] * 10, jobs=jobs)
    assert len(most) == 10
    assert max(most) <= jobs


def test_tasks_begin_in_their_order():
    begun = []
    run([lambda number=number: begun.append(number) for number in range(20)], jobs=1)
    assert begun == list(range(20))


def test_the_first_error_stops_the_others():
    cancellation = Cancellation()
    stopped, waiting = [], threading.Event()

    def wait():
        waiting.set()
        try:
            cancellation.sleep(30)
        except CancelledError:
            stopped.append(True)
            raise

    def fail():
        waiting.wait(10)
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        run([wait, fail], cancellation=cancellation)
    assert stopped == [True]
    assert cancellation.cancelled


def test_after_an_error_nothing_more_begins():
    begun = []

    def fail():
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        run([fail, *[lambda: begun.append(1)] * 5], jobs=1)
    assert begun == []


def test_errors_of_tasks_that_were_stopped_do_not_hide_the_cause():
    cancellation = Cancellation()
    ready = threading.Event()

    def stopped():
        ready.set()
        while not cancellation.cancelled:
            time.sleep(0.001)
        raise RuntimeError("a consequence")

    def fail():
        ready.wait(10)
        raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        run([stopped, fail], cancellation=cancellation)


def test_work_that_was_cancelled_before_does_not_begin():
    cancellation = Cancellation()
    cancellation.cancel()
    begun = []
    with pytest.raises(CancelledError):
        run([lambda: begun.append(1)], cancellation=cancellation)
    assert begun == []


def test_work_that_is_cancelled_from_outside():
    cancellation = Cancellation()

    def work():
        threading.Timer(0.01, cancellation.cancel).start()
        cancellation.sleep(30)

    with pytest.raises(CancelledError):
        run([work], cancellation=cancellation)


def test_an_interrupted_caller_stops_the_tasks():
    cancellation = Cancellation()
    ended = threading.Event()

    def work():
        os.kill(os.getpid(), signal.SIGINT)
        try:
            cancellation.sleep(30)
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        run([work], cancellation=cancellation)
    assert ended.is_set()


def test_an_interrupted_caller_does_not_wait_for_a_task_that_hangs(monkeypatch):
    monkeypatch.setattr("orlop.parallel._PATIENCE", 0.01)
    release = threading.Event()

    def hang():
        os.kill(os.getpid(), signal.SIGINT)
        release.wait(60)

    try:
        with pytest.raises(KeyboardInterrupt):
            run([hang])
        hanging = [thread for thread in threading.enumerate() if thread.name == "orlop-0"]
        assert all(thread.daemon for thread in hanging)
        assert hanging
    finally:
        release.set()
        for thread in hanging:
            thread.join()


def test_cancellation():
    cancellation = Cancellation()
    cancellation.check()
    cancellation.sleep(0)
    cancellation.cancel()
    cancellation.cancel()
    for ask in (cancellation.check, lambda: cancellation.sleep(30)):
        with pytest.raises(CancelledError, match="stopped"):
            ask()


def test_tasks_know_whom_to_ask_whether_to_go_on():
    cancellation = Cancellation()
    assert run([current_cancellation], cancellation=cancellation) == [cancellation]
    assert current_cancellation() is not cancellation


def tree(begun, depth, jobs):
    """A tree in which each item but the deepest gives two."""

    def work(item):
        begun.append(item)
        return [item + "a", item + "b"] if len(item) < depth else ()

    run_tree(work, ["r", "s"], jobs=jobs, cancellation=Cancellation())


def test_a_tree_is_worked_at_from_its_root_depth_first():
    begun = []
    tree(begun, depth=3, jobs=1)
    assert begun == sorted(begun)
    assert len(begun) == 14


@pytest.mark.parametrize("jobs", [2, 8])
def test_the_work_of_a_tree_is_all_done_once(jobs):
    begun = []
    tree(begun, depth=7, jobs=jobs)
    assert len(set(begun)) == len(begun) == 2 * 127
    assert all(item[:-1] in begun[: begun.index(item)] for item in begun if len(item) > 1)


def test_idle_threads_wait_for_work_that_is_still_to_come():
    names = set()

    def work(item):
        names.add(threading.current_thread().name)
        if item == "root":
            time.sleep(0.02)
            return ["a", "b"]
        meeting.wait()
        return ()

    meeting = threading.Barrier(2, timeout=20)
    run_tree(work, ["root"], jobs=2, cancellation=Cancellation())
    assert len(names) == 2
