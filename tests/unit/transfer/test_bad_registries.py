"""Registries that refuse, break off, lie or never end: one clear line, and a store as before."""

import os
import socket

import pytest

import orlop
from orlop.errors import TransportError
from orlop.mediatype import OCI_MANIFEST
from orlop.registry import RegistryOptions
from orlop.testing import faults
from orlop.testing.access import Access
from orlop.testing.registry import FaultyRegistry
from orlop.transfer import SourceOptions
from support.images import directory, file, tar
from support.stores import store_with_image

LAYERS = [
    tar(directory("bin"), file("bin/sh", os.urandom(1000))),
    tar(file("bin/ls", os.urandom(400_000))),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one good image; every test leaves it as it was, and usable."""
    with store_with_image(tmp_path_factory.mktemp("bad-registries"), driver="directory") as store:
        yield store


@pytest.fixture
def registry():
    with FaultyRegistry() as registry:
        registry.add_image("app", "1", LAYERS)
        yield registry


def refuses(store, registry, **expected):
    return store.refuses_at_once(registry.reference("app", "1"), **expected)


KINDS = ["manifest", "blob"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, 1, "credentials"),
        (403, 1, "403"),
        (404, 3, "no such"),
        (429, 1, "429"),
        (500, 1, "500"),
        (503, 1, "503"),
        (418, 1, "418"),
    ],
)
def test_status(store, registry, kind, status, code, says):
    for each in {kind, "head"} if kind == "manifest" else {kind}:
        registry.fail(each, faults.status(status, "DENIED", "go\naway\x1b[31m"))
    done = refuses(store, registry, code=code, says=says)
    assert "\x1b" not in done.err


def test_status_through_the_command(store, registry):
    store.refuses(registry.reference("app", "2"), code=3, says="app")
    store.refuses(registry.reference("other"), code=3, says="other")


def test_password_is_wanted(store):
    with FaultyRegistry(Access(scheme="basic", anonymous=False)) as registry:
        registry.add_image("app", "1", LAYERS)
        done = store.refuses(registry.reference("app", "1"), code=1, says="wants credentials")
        assert "hint: " in done.err


@pytest.mark.parametrize(
    "fault", [faults.other_bytes, faults.longer, faults.shorter, faults.close_after(20)]
)
def test_manifest_is_not_what_was_promised(store, registry, fault):
    registry.fail("manifest", fault)
    broken = fault not in {faults.other_bytes, faults.longer, faults.shorter}
    refuses(store, registry, code=1 if broken else 4)


def test_config_is_other_bytes(store, registry):
    registry.fail("blob", faults.other_bytes, times=1)
    refuses(store, registry, code=4)


@pytest.mark.parametrize(
    ("fault", "code"),
    [(faults.other_bytes, 4), (faults.longer, 4), (faults.shorter, 4)],
)
def test_layer_is_not_what_was_promised(store, registry, fault, code):
    registry.fail("blob", lambda reply: reply, times=1)
    registry.fail("blob", fault)
    # The other layer may be stopped on its way, and is kept for the next pull then.
    refuses(store, registry, code=code, says="sha256:", resumable=True)


def test_layer_without_end(store, registry):
    """What is over the promised size is not read: an answer that never ends does no harm."""
    registry.fail("blob", lambda reply: reply, times=1)
    registry.fail("blob", faults.endless)
    store.pull(registry.reference("app", "1"))
    assert store.orlop("cat", registry.reference("app", "1"), "/bin/sh").code == 0
    assert store.orlop("rm", registry.reference("app", "1")).code == 0
    store.collect()


def test_manifest_without_end(store, registry):
    registry.fail("head", faults.status(405))
    registry.fail("manifest", faults.endless)
    refuses(store, registry, code=1, says="MAX_")


@pytest.mark.parametrize("fault", [faults.close_after(5000), faults.hang_up, faults.garbage()])
def test_layer_breaks_off(store, registry, fault):
    """Nothing is named; what came is dropped when unfinished things are collected."""
    registry.fail("blob", lambda reply: reply, times=1)
    registry.fail("blob", fault)
    refuses(store, registry, code=1, says="127.0.0.1", resumable=True)


def test_layer_stalls(store, registry):
    registry.fail("blob", lambda reply: reply, times=1)
    registry.fail("blob", faults.stall_after(5000))
    short = {"read_timeout": 0.2, "idle_timeout": 0.5, "retries": 1}
    refuses(store, registry, code=1, says="127.0.0.1", resumable=True, **short)


def test_lost_connection_is_taken_up_again(store, registry):
    """The next pull asks for what is missing, by a range, and not for what is there."""
    registry.fail("blob", lambda reply: reply, times=1)
    registry.fail("blob", faults.close_after(100_000))
    client = RegistryOptions(retries=0)
    with orlop.open_store(store.root, store.run) as opened, pytest.raises(TransportError):
        opened.pull(
            str(registry.reference("app", "1")),
            driver="directory",
            options=SourceOptions(registry=client),
        )
    registry.heal()
    before = len(registry.seen)
    store.pull(registry.reference("app", "1"))
    ranges = [seen.headers.get("range") for seen in registry.seen[before:]]
    assert "bytes=100000-" in ranges
    assert store.orlop("rm", registry.reference("app", "1")).code == 0
    store.collect()


def test_manifest_that_is_an_error_page(store, registry):
    registry.put_manifest("app", b"<html>Log in to the hotel</html>", "text/html", "1")
    refuses(store, registry, code=1, says="text/html")
    registry.put_manifest("app", b"<html>Log in to the hotel</html>", OCI_MANIFEST, "1")
    refuses(store, registry, code=1)


def test_nobody_listens(store):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = store.refuses_at_once(f"127.0.0.1:{port}/app:1", code=1, says=str(port))
    assert "hint: " in done.err


def test_host_that_has_no_address(store):
    done = store.refuses_at_once("registry.invalid/app:1", code=1, says="registry.invalid")
    assert "hint: " in done.err


def test_https_is_wanted_and_not_spoken(store, registry):
    reference = registry.reference("app", "1")
    store.refuses_at_once(reference, code=1, plain_http=False, retries=0)
