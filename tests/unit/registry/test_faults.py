"""Every fault with every kind of request: the exact bytes come, or an error of ours."""

import gc
import json
import threading

import pytest

from orlop.digest import Digest
from orlop.errors import OrlopError, VerificationError
from orlop.registry import Credential, MemoryCredentials, RegistrySource
from orlop.spec.descriptor import Descriptor
from orlop.testing import faults
from orlop.testing.access import Access

LAYER = bytes(range(256)) * 400
OTHER = Digest.of(b"other")
KINDS = ("head", "manifest", "blob", "token")

FAULTS = {
    "400": faults.status(400),
    "401": faults.status(401),
    "401 with nonsense": faults.status(401, **{"WWW-Authenticate": ',="\\'}),
    "401 with the same challenge": faults.status(401, **{"WWW-Authenticate": "Basic realm=x"}),
    "403": faults.status(403, "DENIED"),
    "404": faults.status(404),
    "408": faults.status(408),
    "416": faults.status(416),
    "429": faults.status(429, Retry_After="1"),
    "429 with a date": faults.status(429, Retry_After="Thu, 01 Jan 2099 00:00:00 GMT"),
    "500": faults.status(500),
    "503": faults.status(503, Retry_After="nonsense"),
    "599": faults.status(599),
    "204": faults.status(204),
    "206 unasked": faults.status(206),
    "304": faults.status(304),
    "closed at once": faults.hang_up,
    "closed after the headers": faults.close_after(0),
    "closed in the middle": faults.close_after(30),
    "stalled after the headers": faults.stall_after(0),
    "stalled in the middle": faults.stall_after(30),
    "chunked": faults.chunked,
    "chunked and closed": lambda reply: faults.chunked(faults.close_after(30)(reply)),
    "endless": faults.endless,
    "other bytes": faults.other_bytes,
    "longer": faults.longer,
    "shorter": faults.shorter,
    "longer in chunks": lambda reply: faults.chunked(faults.longer(reply)),
    "shorter in chunks": lambda reply: faults.chunked(faults.shorter(reply)),
    "empty": lambda _: faults.Reply.of(200, {}, b""),
    "deep": lambda _: faults.Reply.of(200, {}, b"[" * 50_000),
    "no HTTP": faults.garbage(),
    "half a status line": faults.garbage(b"HTTP/1.1 2"),
    "a status that is none": faults.garbage(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a header without end": faults.garbage(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000),
    "too many headers": faults.garbage(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1000 + b"\r\n"),
    "two lengths": faults.garbage(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
    ),
    "a negative length": faults.garbage(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
    "a length that is none": faults.garbage(b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhi"),
    "a chunk that is none": faults.garbage(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello"
    ),
    "a chunk too long": faults.garbage(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\nhello"
    ),
    "both lengths": faults.garbage(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "endless headers": faults.garbage(b"HTTP/1.1 200 OK\r\n", endless=b"X: x\r\n"),
    "endless interim answers": faults.garbage(endless=b"HTTP/1.1 100 Continue\r\n\r\n", raw=b""),
    "endless trailers": faults.garbage(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        endless=b"X: x\r\n",
    ),
    "length and less": faults.header("Connection", "close"),
    "no digest": faults.header("Docker-Content-Digest", None),
    "another digest": faults.header("Docker-Content-Digest", OTHER),
    "a digest that is none": faults.header("Docker-Content-Digest", "sha256:zz"),
    "no type": faults.header("Content-Type", None),
    "another type": faults.header("Content-Type", "text/html"),
    "encoded": faults.header("Content-Encoding", "gzip"),
    "a cookie": faults.header("Set-Cookie", "a=b"),
    "a redirect to nowhere": faults.redirect("http://127.0.0.1:1/"),
    "a redirect to itself": faults.redirect(""),
    "a redirect to no URL": faults.redirect("http://[::"),
    "a redirect to a file": faults.redirect("file:///etc/passwd", 302),
    "a redirect without target": faults.status(301),
}


@pytest.fixture
def guarded(start):
    registry = start(Access(scheme="bearer"))
    registry.add_image("app", "1", [LAYER])
    return registry


IMPATIENT = {"read_timeout": 0.1, "document_timeout": 0.2, "idle_timeout": 0.2, "retries": 1}


def open_source(guarded, connect, **options):
    user = Credential(username="user", password="canary-password")
    client = connect(MemoryCredentials({guarded.address: user}), **options)
    return RegistrySource(client, guarded.reference("app", "1"))


@pytest.fixture
def source(guarded, connect):
    """An image read without any patience."""
    return open_source(guarded, connect, **IMPATIENT)


@pytest.fixture
def patient_source(guarded, connect):
    """An image read with patience for a busy machine, though not for a server that is silent."""
    return open_source(guarded, connect, read_timeout=0.2, retries=50)


def pull(source):
    """All bytes of the image, verified as the pipeline does it."""
    top = source.resolve()
    manifest = json.loads(source.read(top))
    layer = Descriptor.decode(manifest["layers"][0])
    config = source.read(Descriptor.decode(manifest["config"]))
    with source.open(layer, 1000) as stream:
        skipped = LAYER[: stream.offset]
        data = skipped + b"".join(iter(lambda: stream.read(30_000), b""))
    assert len(data) <= layer.size
    if Digest.of(data) != layer.digest:
        raise VerificationError("the layer", expected=layer.digest, actual="")
    return json.loads(config)["os"], data


def outcome(source):
    """The error that a pull ends with, None when the exact bytes came."""
    try:
        assert pull(source) == ("linux", LAYER)
    except OrlopError as error:
        return error
    return None


def fail(registry, kind, fault, times):
    """Let requests fail that are authorised, and not only the first one of all."""
    registry.fail(kind, fault, times=times)
    if times == 1 and kind == "head":
        registry.fail(kind, fault, times=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("times", [1, None])
@pytest.mark.parametrize("name", FAULTS)
def test_exact_bytes_or_an_error_of_ours(guarded, source, kind, times, name):
    fail(guarded, kind, FAULTS[name], times)
    error = outcome(source)
    if error is not None:
        assert str(error).isprintable()
        assert "canary" not in f"{error}{error.hint}{error!r}"
    assert all("cookie" not in seen.headers for seen in guarded.seen)


@pytest.mark.parametrize("kind", ["manifest", "blob", "token"])
@pytest.mark.parametrize(
    "name",
    [
        "408",
        "429",
        "429 with a date",
        "500",
        "503",
        "closed at once",
        "closed after the headers",
        "closed in the middle",
        "stalled after the headers",
        "stalled in the middle",
        "chunked",
        "chunked and closed",
        "no HTTP",
        "half a status line",
        "a chunk that is none",
        "encoded",
        "a cookie",
        "no type",
    ],
)
def test_what_goes_wrong_once_is_overcome(guarded, patient_source, kind, name):
    guarded.fail(kind, FAULTS[name], times=1)
    assert outcome(patient_source) is None


@pytest.fixture
def no_garbage_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    [
        "404",
        "500",
        "chunked",
        "closed in the middle",
        "endless trailers",
        "other bytes",
        "shorter",
        "a redirect to nowhere",
        "a redirect to no URL",
    ],
)
def test_a_closed_client_leaves_no_connection(guarded, connect, kind, name):
    guarded.fail(kind, FAULTS[name])
    user = Credential(username="user", password="canary-password")
    with connect(MemoryCredentials({guarded.address: user}), **IMPATIENT) as client:
        outcome(RegistrySource(client, guarded.reference("app", "1")))
    for _ in range(1000):
        if not guarded.open_connections:
            break
        threading.Event().wait(0.01)
    assert guarded.open_connections == 0


@pytest.mark.parametrize("kind", ["manifest", "blob"])
@pytest.mark.parametrize(
    "name", ["403", "404", "500", "closed in the middle", "other bytes", "shorter", "another type"]
)
def test_what_goes_on_for_ever_is_an_error(guarded, source, kind, name):
    if (kind, name) == ("blob", "another type"):
        name = "closed at once"
    guarded.fail(kind, FAULTS[name])
    assert outcome(source) is not None
