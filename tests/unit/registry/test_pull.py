import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from orlop import mediatype
from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    RegistryError,
    SizeMismatchError,
    TransportError,
)
from orlop.reference import Reference
from orlop.registry import RegistrySource
from orlop.spec.descriptor import Descriptor
from orlop.spec.json import MAX_DOCUMENT_SIZE
from orlop.testing import faults

LAYER = bytes(range(256)) * 1000  # two pieces, almost


def read_all(stream, size=10_000):
    pieces = []
    while piece := stream.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


def test_a_whole_image(registry, client):
    top = registry.add_image("team/app", "1", [LAYER])
    reference = registry.reference("team/app", "1")
    with RegistrySource(client, reference) as source:
        assert source.names == (str(reference),)
        assert source.resolve() == top
        manifest = json.loads(source.read(top))
        config = Descriptor.decode(manifest["config"])
        assert json.loads(source.read(config))["os"] == "linux"
        with source.open(Descriptor.decode(manifest["layers"][0])) as stream:
            assert stream.offset == 0
            assert read_all(stream) == LAYER
            assert stream.read(1) == b""


def test_the_registry_is_not_pinged(registry, client):
    registry.add_image("app", "1", [LAYER])
    client.resolve(registry.reference("app", "1"))
    assert [(seen.method, seen.target) for seen in registry.seen] == [
        ("HEAD", "/v2/app/manifests/1")
    ]


def test_what_every_request_says(registry, connect):
    registry.add_image("app", "1", [LAYER])
    connect(user_agent="tester/1").resolve(registry.reference("app", "1"))
    headers = registry.seen[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"] == "tester/1"
    assert "authorization" not in headers
    assert "cookie" not in headers
    for media_type in (
        mediatype.OCI_INDEX,
        mediatype.OCI_MANIFEST,
        mediatype.DOCKER_MANIFEST,
        mediatype.DOCKER_MANIFEST_LIST,
    ):
        assert media_type in headers["accept"]


def test_the_tag_is_latest_by_default(registry, client):
    top = registry.add_image("app", "latest", [])
    reference = registry.reference("app").with_tag(None)
    assert client.resolve(reference) == top


def test_a_digest_decides(registry, client):
    top = registry.add_image("app", "old", [b"a"])
    registry.add_image("app", "new", [b"b"])
    reference = registry.reference("app", "new").with_digest(top.digest)
    assert client.resolve(reference) == top


@pytest.mark.parametrize(
    "fault",
    [
        faults.header("Docker-Content-Digest", None),
        faults.header("Docker-Content-Digest", "nonsense"),
        faults.header("Docker-Content-Digest", "blake9:00"),
        faults.header("Content-Type", None),
        lambda reply: replace(reply, length=0),
        faults.header("Content-Type", "application/json"),
        faults.header("Content-Type", "nonsense"),
        faults.status(400),
        faults.status(404),
        faults.status(403),
        faults.status(405),
        faults.status(501),
    ],
)
def test_get_is_asked_when_head_does_not_tell(registry, client, fault):
    top = registry.add_image("app", "1", [LAYER])
    registry.fail("head", fault)
    with RegistrySource(client, registry.reference("app", "1")) as source:
        assert source.resolve() == top
        assert Digest.of(source.read(top)) == top.digest
    assert [seen.method for seen in registry.seen] == ["HEAD", "GET"]


def test_the_type_of_a_manifest_that_nobody_names(registry, client):
    raw = b'{"schemaVersion":2,"manifests":[]}'
    registry.put_manifest("app", raw, "application/octet-stream", "1")
    assert client.resolve(registry.reference("app", "1")) == Descriptor.of(mediatype.OCI_INDEX, raw)


def test_parameters_of_the_type_are_ignored(registry, client):
    top = registry.add_image("app", "1", [])
    registry.fail("head", faults.header("Content-Type", f"{top.media_type}; charset=utf-8"))
    assert client.resolve(registry.reference("app", "1")) == top


def test_a_type_that_the_body_denies(registry, client):
    registry.add_image("app", "1", [])
    registry.fail("head", faults.status(405))
    registry.fail("manifest", faults.header("Content-Type", mediatype.OCI_INDEX))
    with pytest.raises(InvalidDocumentError, match=r"\$\.mediaType"):
        client.resolve(registry.reference("app", "1"))


def test_a_document_served_as_something_else(registry, client):
    top = registry.add_image("app", "1", [])
    registry.fail("manifest", faults.header("Content-Type", mediatype.OCI_INDEX))
    with pytest.raises(InvalidDocumentError, match="served as"):
        client.fetch_document(registry.reference("app", "1"), top)


def test_another_digest_than_the_header_says(registry, client):
    registry.add_image("app", "1", [])
    registry.fail("head", faults.status(405))
    registry.fail("manifest", faults.header("Docker-Content-Digest", Digest.of(b"other")))
    with pytest.raises(DigestMismatchError):
        client.resolve(registry.reference("app", "1"))


def test_another_manifest_than_the_one_asked_for(registry, client):
    top = registry.add_image("app", "1", [])
    registry.fail("head", faults.header("Docker-Content-Digest", Digest.of(b"other")))
    with pytest.raises(DigestMismatchError):
        client.resolve(registry.reference("app").with_digest(top.digest))


def test_a_header_of_another_algorithm(registry, client):
    top = registry.add_image("app", "1", [])
    raw = client.fetch_document(registry.reference("app", "1"), top)
    sha512 = Digest.of(raw, "sha512")
    registry.fail("head", faults.header("Docker-Content-Digest", sha512))
    registry.fail("manifest", faults.header("Docker-Content-Digest", sha512))
    reference = registry.reference("app", "1")
    assert client.resolve(reference).digest == sha512
    assert client.resolve(reference.with_digest(top.digest)) == top


def test_no_such_image(registry, client):
    with pytest.raises(NotFoundError, match=r"no such image 127\.0\.0\.1:\d+/app:1 in registry"):
        client.resolve(registry.reference("app", "1"))


def test_no_such_blob(registry, client):
    with pytest.raises(NotFoundError, match="BLOB_UNKNOWN"):
        client.open_blob(registry.reference("app"), Descriptor.of(mediatype.OCI_LAYER, LAYER))


def test_documents_are_bounded_by_their_descriptor(registry, client):
    top = registry.add_image("app", "1", [])
    registry.fail("manifest", faults.endless)
    with pytest.raises(SizeMismatchError, match=f"expected {top.size}, found more"):
        client.fetch_document(registry.reference("app", "1"), top)


def test_documents_are_bounded_when_nothing_is_known_of_them(registry, client):
    registry.add_image("app", "1", [])
    registry.fail("head", faults.status(405))
    registry.fail("manifest", faults.endless)
    with pytest.raises(LimitExceededError, match=f"MAX_DOCUMENT_SIZE = {MAX_DOCUMENT_SIZE}"):
        client.resolve(registry.reference("app", "1"))


def test_a_document_that_is_said_to_be_large_is_not_asked_for(registry, client):
    descriptor = Descriptor(
        media_type=mediatype.OCI_MANIFEST, digest=Digest.of(b""), size=MAX_DOCUMENT_SIZE + 1
    )
    with pytest.raises(LimitExceededError):
        client.fetch_document(registry.reference("app", "1"), descriptor)
    assert registry.seen == []


def test_messages_of_a_registry_are_made_harmless(registry, client):
    registry.fail("head", faults.status(400))
    registry.fail("manifest", faults.status(400, "BAD\x1b[0m", "\x1b[2J\r\nforged: " + "x" * 9999))
    with pytest.raises(RegistryError) as caught:
        client.resolve(registry.reference("app", "1"))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
    assert caught.value.status == 400
    assert caught.value.codes == ("BAD0m",)


@pytest.mark.parametrize("offset", [0, 1, 100_000, len(LAYER) - 1, len(LAYER)])
def test_a_blob_from_an_offset(registry, client, offset):
    layer = registry.put_blob("app", LAYER)
    with client.open_blob(registry.reference("app"), layer, offset) as stream:
        assert stream.offset == offset
        assert read_all(stream) == LAYER[offset:]


@pytest.mark.parametrize("offset", [-1, len(LAYER) + 1])
def test_an_offset_outside_of_the_blob(registry, client, offset):
    layer = registry.put_blob("app", LAYER)
    with pytest.raises(ValueError, match="outside"):
        client.open_blob(registry.reference("app"), layer, offset)


def test_a_registry_without_ranges(registry, client):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", lambda _: faults.Reply.of(200, {}, LAYER))
    with client.open_blob(registry.reference("app"), layer, 1000) as stream:
        assert stream.offset == 0
        assert read_all(stream) == LAYER


@pytest.mark.parametrize("chunked", [False, True])
def test_a_broken_download_goes_on_where_it_broke(registry, client, waits, chunked):
    layer = registry.put_blob("app", LAYER)
    for _ in range(3):
        registry.fail("blob", cut(50_001, chunked=chunked), times=1)
    with client.open_blob(registry.reference("app"), layer) as stream:
        assert read_all(stream) == LAYER
    ranges = [seen.headers.get("range") for seen in registry.seen]
    assert ranges[0] is None
    assert len(ranges) == 4
    assert len(waits) == 3
    if not chunked:
        assert ranges[1:] == ["bytes=50001-", "bytes=100002-", "bytes=150003-"]


def cut(size, *, chunked):
    def change(reply):
        reply = faults.close_after(size)(reply)
        return faults.chunked(reply) if chunked else reply

    return change


def test_a_broken_download_from_a_registry_without_ranges(registry, client):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.close_after(50_001), times=1)
    registry.fail("blob", lambda _: faults.Reply.of(200, {}, LAYER), times=1)
    with client.open_blob(registry.reference("app"), layer) as stream:
        assert read_all(stream) == LAYER
        assert stream.offset == 0


def test_progress_keeps_a_download_going(registry, connect):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.close_after(140_000))
    with connect(retries=1).open_blob(registry.reference("app"), layer) as stream:
        assert read_all(stream) == LAYER


def test_a_download_without_enough_progress_ends(registry, connect):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.close_after(1))
    with (
        connect(retries=3).open_blob(registry.reference("app"), layer) as stream,
        pytest.raises(TransportError),
    ):
        read_all(stream)
    assert len(registry.seen) == 4


def test_nothing_is_read_beyond_the_blob(registry, client):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.endless)
    with client.open_blob(registry.reference("app"), layer) as stream:
        assert read_all(stream) == LAYER


def test_what_is_read_again_is_no_progress(registry, connect):
    layer = registry.put_blob("app", LAYER)
    size = iter(range(100_000, 200_000, 1000))

    def one_more_each_time(_):
        return faults.close_after(next(size))(faults.Reply.of(200, {}, LAYER))

    registry.fail("blob", one_more_each_time)
    with (
        connect(retries=3).open_blob(registry.reference("app"), layer) as stream,
        pytest.raises(TransportError),
    ):
        read_all(stream)
    assert len(registry.seen) == 4


@pytest.mark.parametrize("begun", [True, False])
def test_a_closed_client_ends_reads_in_other_threads(registry, client, begun):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.stall_after(len(LAYER) // 2))
    with client.open_blob(registry.reference("app"), layer) as stream, ThreadPoolExecutor() as pool:
        reading = pool.submit(read_all, stream) if begun else None
        client.close()
        with pytest.raises(TransportError):
            (reading or pool.submit(read_all, stream)).result(timeout=20)


def test_a_closed_stream(registry, client):
    layer = registry.put_blob("app", LAYER)
    with client.open_blob(registry.reference("app"), layer) as stream:
        assert stream.read(10) == LAYER[:10]
        with pytest.raises(ValueError, match="not positive"):
            stream.read(0)
    with pytest.raises(ValueError, match="closed"):
        stream.read(10)


def test_a_proxy(registry, connect):
    top = registry.add_image("app", "1", [LAYER])
    environ = {"HTTP_PROXY": f"http://user:canary@{registry.address}"}
    client = connect(plain_http=True, environ=environ)
    assert client.resolve(Reference.parse("registry.example.org/app:1")) == top
    (seen,) = registry.seen
    assert seen.target == "http://registry.example.org/v2/app/manifests/1"
    assert seen.headers["proxy-authorization"].startswith("Basic ")


def test_a_proxy_that_leads_nowhere(registry, connect):
    environ = {"HTTPS_PROXY": f"http://user:canary@{registry.address}"}
    with pytest.raises(TransportError, match="proxy") as caught:
        connect(environ=environ, retries=0).resolve(Reference.parse("registry.example.org/app:1"))
    assert "canary" not in str(caught.value)


def test_no_proxy_leads_to_loopback(start, connect):
    registry, proxy = start(), start()
    top = registry.add_image("app", "1", [])
    client = connect(environ={"HTTP_PROXY": proxy.url, "http_proxy": proxy.url})
    assert client.resolve(registry.reference("app", "1")) == top
    assert proxy.seen == []


def test_too_slow_a_download_ends(registry, connect):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.close_after(1))
    with (
        connect(idle_timeout=0).open_blob(registry.reference("app"), layer) as stream,
        pytest.raises(TransportError, match="slowly"),
    ):
        read_all(stream)


@pytest.mark.parametrize("fault", [faults.longer, faults.shorter])
@pytest.mark.parametrize("offset", [0, 1000])
def test_a_blob_of_another_size(registry, client, fault, offset):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", lambda _: fault(faults.Reply.of(200, {}, LAYER)))
    with pytest.raises(SizeMismatchError):
        client.open_blob(registry.reference("app"), layer, offset)


def test_a_blob_that_ends_early_without_saying_so(registry, client):
    layer = Descriptor(media_type=mediatype.OCI_LAYER, digest=Digest.of(LAYER), size=len(LAYER) + 1)
    registry.put_blob("app", LAYER)
    registry.fail("blob", faults.chunked, times=1)
    with (
        client.open_blob(registry.reference("app"), layer) as stream,
        pytest.raises(SizeMismatchError),
    ):
        read_all(stream)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "bytes 0-255999/256000",
        "bytes 1001-255999/256000",
        "bytes 1000-256000/256000",
        "bytes 1000-999/256000",
        "bytes 1000-255999/256001",
        "bytes 1000-255999",
        "octets 1000-255999/256000",
        "bytes */256000",
    ],
)
def test_another_part_than_the_one_asked_for(registry, client, value):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.header("Content-Range", value))
    with pytest.raises((RegistryError, SizeMismatchError)):
        client.open_blob(registry.reference("app"), layer, 1000)


def test_a_part_of_unknown_whole(registry, client):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.header("Content-Range", "bytes 1000-255999/*"))
    with client.open_blob(registry.reference("app"), layer, 1000) as stream:
        assert read_all(stream) == LAYER[1000:]


def test_a_range_that_is_refused(registry, client):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.status(416), times=1)
    with client.open_blob(registry.reference("app"), layer, 1000) as stream:
        assert stream.offset == 0
        assert read_all(stream) == LAYER


def test_retry_after_is_heeded(registry, client, waits):
    top = registry.add_image("app", "1", [])
    registry.fail("head", faults.status(429, Retry_After="7"), times=1)
    registry.fail("head", faults.status(503, Retry_After="100000"), times=1)
    assert client.resolve(registry.reference("app", "1")) == top
    assert waits == [7, 60]


def test_retries_end(registry, connect, waits):
    registry.fail("head", faults.status(429, "TOOMANYREQUESTS"))
    with pytest.raises(RegistryError, match="429") as caught:
        connect(retries=2).resolve(registry.reference("app", "1"))
    assert caught.value.retryable
    assert len(waits) == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusals_are_not_tried_again(registry, client, waits, status):
    layer = registry.put_blob("app", LAYER)
    registry.fail("blob", faults.status(status, **{"WWW-Authenticate": "Unheard of=it"}))
    with pytest.raises((RegistryError, NotFoundError)):
        client.open_blob(registry.reference("app"), layer)
    assert len(registry.seen) == 1
    assert waits == []


def test_no_connection(start, connect, waits):
    registry = start()
    reference = registry.reference("app", "1")
    registry.close()
    with pytest.raises(TransportError, match="Connection refused"):
        connect(retries=2).resolve(reference)
    assert len(waits) == 2


@pytest.mark.parametrize("domain", ["a" * 64 + ".example", "registry.invalid"])
def test_no_such_host(connect, domain):
    with pytest.raises(TransportError, match=domain[:60]):
        connect(retries=0).resolve(Reference.parse(f"{domain}/app:1"))


def test_closing_a_client_ends_its_waiting(registry, connect):
    registry.fail("head", faults.status(429, Retry_After="60"))
    client = connect(sleep=None)
    with ThreadPoolExecutor() as pool:
        future = pool.submit(client.resolve, registry.reference("app", "1"))
        while not registry.seen:
            threading.Event().wait(0.01)
        client.close()
        with pytest.raises(TransportError, match="closed"):
            future.result(timeout=30)


def test_layers_are_read_by_many_threads(registry, client):
    layers = [bytes([number]) * 200_000 for number in range(12)]
    registry.add_image("app", "1", layers)
    registry.fail("blob", *[faults.close_after(90_000)] * 5, times=1)
    reference = registry.reference("app", "1")
    with RegistrySource(client, reference) as source, ThreadPoolExecutor(6) as pool:

        def pull(layer):
            with source.open(Descriptor.of(mediatype.OCI_LAYER, layer)) as stream:
                return read_all(stream)

        assert list(pool.map(pull, layers)) == layers


def test_connections_are_kept(registry, client):
    top = registry.add_image("app", "1", [LAYER])
    reference = registry.reference("app", "1")
    client.resolve(reference)
    client.fetch_document(reference, top)
    for _ in range(3):
        with client.open_blob(reference, Descriptor.of(mediatype.OCI_LAYER, LAYER)) as stream:
            read_all(stream)
    assert registry.connections == 1
