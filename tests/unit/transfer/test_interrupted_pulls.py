"""Pulls that are interrupted, killed or many at once: the next one goes on, nothing is lost."""

import os
import random
import signal
import threading
import time

import pytest

from orlop.digest import Digest
from orlop.testing import faults
from orlop.testing.registry import FaultyRegistry
from support.images import ImageBuilder, directory, file, tar
from support.stores import StoreUnderTest, outcome

SMALL = tar(directory("bin"), file("bin/sh", os.urandom(50_000)))
LARGE = tar(file("bin/large", os.urandom(3 << 20)))
STALL = 1 << 20


@pytest.fixture
def store(tmp_path):
    return StoreUnderTest(tmp_path / "store", driver="directory")


@pytest.fixture
def registry():
    with FaultyRegistry() as registry:
        yield registry


def stall_large_layer(reply):
    """The large layer comes half, and everything else whole."""
    return faults.stall_after(STALL)(reply) if len(reply.body) > 2 * STALL else reply


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.01)


def arrived(store):
    """Bytes in the ingests of a store."""
    return sum(path.stat().st_size for path in store.root.glob("ingest/*/data"))


def is_stored(store, data):
    return (store.root / "blobs/sha256" / Digest.of(data).encoded).exists()


def requests(registry, data):
    """The ranges that were asked for of a blob; None where all of it was."""
    end = f"/blobs/{Digest.of(data)}"
    return [seen.headers.get("range") for seen in registry.seen if seen.target.endswith(end)]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_signal_in_a_download(store, registry, number, code):
    """The command ends at once; the next one fetches what is missing, and nothing else."""
    registry.add_image("app", "1", [SMALL, LARGE])
    registry.fail("blob", stall_large_layer)
    process = store.start("pull", registry.reference("app", "1"), "--driver", "directory")
    wait_for(lambda: is_stored(store, SMALL) and arrived(store) >= STALL - (64 << 10))
    process.send_signal(number)
    sent = time.monotonic()
    done = outcome(process)
    assert done.code == code
    assert time.monotonic() - sent < 10, "it waited for the server"
    assert done.err == ("" if number == signal.SIGKILL else "interrupted\n")
    assert store.images() == []
    registry.heal()
    store.pull(registry.reference("app", "1"))
    assert requests(registry, SMALL) == [None]
    first, second = requests(registry, LARGE)
    assert first is None
    assert STALL - (64 << 10) <= int(second.removeprefix("bytes=").removesuffix("-")) <= STALL
    equals_clean_pull(store, registry.reference("app", "1"))


def equals_clean_pull(store, source):
    """The store is what it would be if nothing had happened."""
    clean = StoreUnderTest(store.root.parent / "clean", driver="directory")
    clean.pull(source)
    store.collect()
    clean.collect()
    assert store.files() == clean.files()
    for name in clean.files():
        assert (store.root / name).read_bytes() == (clean.root / name).read_bytes(), name


def test_second_interrupt(store, registry):
    """Ctrl-C twice is no worse than once."""
    registry.add_image("app", "1", [SMALL, LARGE])
    registry.fail("blob", stall_large_layer)
    process = store.start("pull", registry.reference("app", "1"), "--driver", "directory")
    wait_for(lambda: arrived(store) >= STALL - (64 << 10))
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert outcome(process).code in {130, -signal.SIGINT}
    registry.heal()
    store.pull(registry.reference("app", "1"))
    equals_clean_pull(store, registry.reference("app", "1"))


def test_error_is_not_kept_back_by_a_layer_that_stalls(store, registry):
    registry.add_image("app", "1", [SMALL, LARGE])
    broken = Digest.of(SMALL)
    changed = {(place, name): content for (place, name), content in registry._contents.items()}
    registry._contents["app/blobs", broken] = ("application/octet-stream", b"x" * len(SMALL))
    registry.fail("blob", stall_large_layer)
    begin = time.monotonic()
    done = store.orlop("pull", registry.reference("app", "1"), "--driver", "directory")
    done.check_failure(4, broken.encoded)
    assert time.monotonic() - begin < 15, "it waited for the server"
    registry._contents = changed
    registry.heal()
    store.pull(registry.reference("app", "1"))
    equals_clean_pull(store, registry.reference("app", "1"))


KILLS = 12


@pytest.mark.parametrize("place", ["layout", "registry"])
def test_kill_at_any_moment(tmp_path, store, registry, place):
    """Whenever a pull is killed, no name is half true, and the next pull makes up for it."""
    tars = [tar(directory("d"), file(f"d/{n}", os.urandom(300_000))) for n in range(6)]
    if place == "layout":
        builder = ImageBuilder()
        for data in tars:
            builder.raw_layer(data)
        source = builder.write(tmp_path / "app").source
    else:
        registry.add_image("app", "1", tars)
        source = str(registry.reference("app", "1"))
    random_delays = random.Random(7)
    for _ in range(KILLS):
        process = store.start("pull", source, "--driver", "directory")
        wait_for(lambda process=process: (store.root / "orlop.db").exists() or process.poll())
        time.sleep(random_delays.random() * 0.5)
        process.kill()
        code = outcome(process).code
        if code == 0:
            assert len(store.images()) == 1
        for image in store.images():
            assert store.orlop("cat", image["id"], "/d/5").code == 0
            assert store.orlop("rm", image["name"]).code == 0
        if random_delays.random() < 0.3:
            store.collect()
    store.pull(source)
    equals_clean_pull(store, source)


def test_several_processes_pull_one_image(store, registry):
    """Each layer is fetched once, and all succeed."""
    tars = [tar(file(f"{n}", os.urandom(400_000))) for n in range(5)]
    registry.add_image("app", "1", tars)
    source = registry.reference("app", "1")
    done = [
        outcome(each)
        for each in [store.start("pull", source, "--driver", "directory") for _ in range(4)]
    ]
    assert {each.code for each in done} == {0}, done
    assert len({each.out for each in done}) == 1
    for data in tars:
        assert requests(registry, data) == [None]
    equals_clean_pull(store, source)


def test_several_threads_pull_images_that_share_layers(store, registry):
    """Six images of ten layers, all at once: a layer of several is fetched once."""
    tars = [tar(file(f"{n}", os.urandom(100_000))) for n in range(10)]
    names = [f"app{n}" for n in range(6)]
    for number, name in enumerate(names):
        registry.add_image("app", name, tars[number : number + 5])
    results = []

    def pull(name):
        reference = registry.reference("app", name)
        results.append(store.command("pull", reference, "--driver", "directory", "-j", "4"))

    threads = [threading.Thread(target=pull, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {done.code for done in results} == {0}, results
    for data in tars:
        assert requests(registry, data) == [None]
    assert len(store.images()) == len(names)


def test_collector_beside_pulls(store, registry):
    """A collector in a loop takes nothing that a pull needs."""
    tars = [tar(file(f"{n}", os.urandom(100_000))) for n in range(8)]
    for number in range(4):
        registry.add_image("app", str(number), tars[number : number + 4])
    store.pull(registry.reference("app", "0"))
    over = threading.Event()
    failures = []

    def collect():
        while not over.is_set():
            done = store.command("gc")
            if done.code:
                failures.append(done)

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for _ in range(2):
            started = [
                store.start("pull", registry.reference("app", str(n)), "--driver", "directory")
                for n in range(4)
            ]
            done = [outcome(each) for each in started]
            assert {each.code for each in done} == {0}, done
            for number in range(4):
                reference = registry.reference("app", str(number))
                assert store.command("cat", reference, f"/{number + 3}").code == 0
                if number:
                    assert store.command("rm", reference).code == 0
    finally:
        over.set()
        collector.join()
    assert failures == []
    equals_clean_pull(store, registry.reference("app", "0"))
