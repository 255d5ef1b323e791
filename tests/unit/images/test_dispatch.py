import os
import signal
import threading
import time

import pytest

from orlop.errors import NotFoundError
from orlop.images import (
    SkipDescriptor,
    StopHandler,
    children_handler,
    dispatch,
    handlers,
    iter_walk,
)
from orlop.parallel import Cancellation, CancelledError, current_cancellation
from support.shelf import Shelf

PATIENT = 20


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def target(shelf):
    platforms = "linux/amd64", "linux/arm64", "linux/s390x"
    return shelf.index(*(shelf.image(each, b"base", each.encode()) for each in platforms))


def leaves(shelf, *names):
    return [shelf.put(name.encode()) for name in names]


def test_the_same_are_visited_as_by_walking(shelf, target):
    seen = []
    below = children_handler(shelf.content)
    dispatch(handlers(lambda each: seen.append(each.digest), below), target, jobs=4)
    walked = [each.digest for each in iter_walk(below, target)]
    assert sorted(seen) == sorted(walked)
    assert len(set(seen)) == len(seen) == 11


def test_one_job_keeps_the_order_of_walking(shelf, target):
    seen = []
    below = children_handler(shelf.content)
    dispatch(handlers(seen.append, below), target, *leaves(shelf, "x", "y"), jobs=1)
    assert seen == list(iter_walk(below, target, *leaves(shelf, "x", "y")))


def test_a_document_is_done_with_before_what_it_names(shelf, target):
    done, lock = set(), threading.Lock()
    below = children_handler(shelf.content)
    parent = {child.digest: target for child in below(target)}
    for image in below(target):
        parent |= {child.digest: image for child in below(image)}

    def check(descriptor):
        above = parent.get(descriptor.digest)
        assert above is None or descriptor.size < 5 or above.digest in done

    def finish(descriptor):
        with lock:
            done.add(descriptor.digest)

    dispatch(handlers(check, below, finish), target, jobs=4)
    assert len(done) == 11


def test_siblings_run_at_the_same_time(shelf):
    meeting = threading.Barrier(3, timeout=PATIENT)
    dispatch(lambda each: meeting.wait() and None, *leaves(shelf, "a", "b", "c"), jobs=3)


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_run_than_jobs(shelf, jobs):
    running, most, lock = [], [], threading.Lock()

    def handler(descriptor):
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.002)
        with lock:
            running.pop()

    dispatch(handler, *leaves(shelf, *map(str, range(20))), jobs=jobs)
    assert len(most) == 20
    assert max(most) <= jobs


def test_skip_and_stop_are_no_errors(shelf, target):
    seen, below = [], children_handler(shelf.content)
    first, second, third = below(target)

    def skip(descriptor):
        if descriptor == first:
            raise SkipDescriptor
        if descriptor == second:
            raise StopHandler

    dispatch(handlers(seen.append, skip, below), target)
    assert {first, second, third} <= set(seen)
    assert len(seen) == 7


def test_the_first_error_lets_nothing_more_begin(shelf):
    begun = []

    def fail(descriptor):
        begun.append(descriptor)
        raise NotFoundError("gone")

    with pytest.raises(NotFoundError, match="gone"):
        dispatch(fail, *leaves(shelf, "a", "b", "c"), jobs=1)
    assert len(begun) == 1


def test_handlers_that_ask_stop_when_another_fails(shelf):
    running, stopped = threading.Event(), []
    slow, bad = leaves(shelf, "slow", "bad")

    def handler(descriptor):
        if descriptor == bad:
            running.wait(PATIENT)
            raise NotFoundError("gone")
        running.set()
        try:
            current_cancellation().sleep(PATIENT)
        except CancelledError:
            stopped.append(descriptor)
            raise

    with pytest.raises(NotFoundError, match="gone"):
        dispatch(handler, slow, bad)
    assert stopped == [slow]


def test_the_error_is_raised_when_those_that_do_not_ask_have_ended(shelf, monkeypatch):
    monkeypatch.setattr("orlop.parallel._PATIENCE", 0)
    failing, ended = threading.Event(), []
    slow, bad = leaves(shelf, "slow", "bad")

    def handler(descriptor):
        if descriptor == bad:
            failing.set()
            raise NotFoundError("gone")
        failing.wait(PATIENT)
        time.sleep(0.05)
        ended.append(descriptor)

    with pytest.raises(NotFoundError, match="gone"):
        dispatch(handler, slow, bad)
    assert ended == [slow]


def test_what_a_running_handler_gives_after_an_error_is_not_visited(shelf, target):
    failing, seen = threading.Event(), []
    (bad,) = leaves(shelf, "bad")

    def handler(descriptor):
        if descriptor == bad:
            failing.set()
            raise NotFoundError("gone")
        seen.append(descriptor)
        while not current_cancellation().cancelled:
            failing.wait(PATIENT)
        return children_handler(shelf.content)(descriptor)

    with pytest.raises(NotFoundError):
        dispatch(handler, target, bad)
    assert seen == [target]


def test_stopped_from_outside(shelf):
    cancellation = Cancellation()
    seen = []

    def handler(descriptor):
        seen.append(descriptor)
        cancellation.cancel()

    with pytest.raises(CancelledError):
        dispatch(handler, *leaves(shelf, "a", "b"), jobs=1, cancellation=cancellation)
    assert len(seen) == 1


def test_an_interrupt_stops_handlers_and_those_that_wait_for_work(shelf):
    stopped = []

    def handler(descriptor):
        os.kill(os.getpid(), signal.SIGINT)
        try:
            current_cancellation().sleep(PATIENT)
        finally:
            stopped.append(descriptor)

    with pytest.raises(KeyboardInterrupt):
        dispatch(handler, *leaves(shelf, "a"), jobs=8)
    assert len(stopped) == 1


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_jobs_at_all(shelf, jobs):
    with pytest.raises(ValueError, match=f"jobs must be at least 1, not {jobs}"):
        dispatch(lambda each: None, jobs=jobs)


def test_nothing_to_dispatch():
    dispatch(lambda each: [each])


def test_outside_of_a_run_nobody_cancels():
    assert not current_cancellation().cancelled
    current_cancellation().cancel()
    assert not current_cancellation().cancelled
