"""A registry in memory, on a free port of the loopback interface, that fails when told to.

    with FaultyRegistry() as registry:
        image = registry.add_image("app", "1", [b"a layer"])
        registry.fail("blob", faults.close_after(3), times=1)
        …pull registry.reference("app", "1")…
        registry.seen                    # every request with its headers

It serves manifests, blobs (with ranges) and tokens, and takes no pushes.

Spec: distribution-spec v1.1, "Pull".
"""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from orlop import mediatype
from orlop.digest import Digest
from orlop.reference import Reference
from orlop.spec.descriptor import Descriptor
from orlop.testing.access import Access, Seen, TokenIssuer
from orlop.testing.faults import Fault, Reply, status
from orlop.testing.handler import Server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from typing import Self

Kind: TypeAlias = Literal["head", "manifest", "blob", "token", "ping"]
"""What a request asks for; `head` is the HEAD of a manifest."""

_CONTENT: Final = re.compile(r"/v2/(.+)/(manifests|blobs)/([^/]+)")
_RANGE: Final = re.compile(r"bytes=([0-9]+)-")


class FaultyRegistry:
    """The registry; a context manager that starts and stops it.

    Args:
        access: Whom it lets in; everybody by default.
        issuer: The registry whose token server it trusts; itself by default.
        tls: How to speak https; http by default.
    """

    def __init__(
        self,
        access: Access | None = None,
        *,
        issuer: FaultyRegistry | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.access = access or Access()
        self.seen: list[Seen] = []
        self.closing = threading.Event()
        self._scheme = "https" if tls else "http"
        self._lock = threading.Lock()
        self._contents: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._faults: dict[str, list[tuple[Fault, int | None]]] = {}
        self.tokens = TokenIssuer(self.access)
        self._issuer = issuer or self
        self._server = Server(self, tls)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True
        )

    @property
    def address(self) -> str:
        """Host and port, as references name the registry."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The beginning of all of its URLs."""
        return f"{self._scheme}://{self.address}"

    @property
    def token_url(self) -> str:
        """Where it gives tokens."""
        return f"{self.url}/token"

    @property
    def connections(self) -> int:
        """How many connections were made to it."""
        return self._server.connections

    @property
    def open_connections(self) -> int:
        """How many of them are not closed."""
        return self._server.open_connections

    def reference(self, repository: str, tag: str = "latest") -> Reference:
        """The reference of an image here."""
        return Reference.parse(f"{self.address}/{repository}:{tag}")

    def put_blob(
        self, repository: str, data: bytes, media_type: str = mediatype.OCI_LAYER
    ) -> Descriptor:
        """Keep a blob."""
        descriptor = Descriptor.of(media_type, data)
        self._contents[f"{repository}/blobs", descriptor.digest] = (
            "application/octet-stream",
            data,
        )
        return descriptor

    def put_manifest(
        self, repository: str, raw: bytes, media_type: str, tag: str | None = None
    ) -> Descriptor:
        """Keep a manifest or an index, whatever its bytes are."""
        descriptor = Descriptor.of(media_type, raw)
        for name in filter(None, (descriptor.digest, tag)):
            self._contents[f"{repository}/manifests", name] = (media_type, raw)
        return descriptor

    def add_image(self, repository: str, tag: str, layers: Sequence[bytes]) -> Descriptor:
        """Keep an image with these layers, and return its manifest's descriptor."""
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest.of(layer) for layer in layers]},
        }
        raw = json.dumps(config).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": mediatype.OCI_MANIFEST,
            "config": self.put_blob(repository, raw, mediatype.OCI_CONFIG).encode(),
            "layers": [self.put_blob(repository, layer).encode() for layer in layers],
        }
        raw = json.dumps(manifest).encode()
        return self.put_manifest(repository, raw, mediatype.OCI_MANIFEST, tag)

    def fail(self, kind: Kind, *faults: Fault, times: int | None = None) -> None:
        """Let the next `times` requests of a kind fail (None: all), each fault after the other."""
        with self._lock:
            self._faults.setdefault(kind, []).extend((fault, times) for fault in faults)

    def heal(self) -> None:
        """Let no request fail any more."""
        with self._lock:
            self._faults.clear()

    @property
    def secrets_seen(self) -> list[str]:
        """Everything secret that came here: `Authorization` headers and bodies."""
        sent = (seen.headers.get("authorization", "") + seen.body.decode() for seen in self.seen)
        return [text for text in sent if text]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """The answer to a request, with the fault that is due."""
        seen = Seen(method=method, target=target, headers=headers, body=body)
        with self._lock:
            self.seen.append(seen)
            kind, reply = self._right_answer(seen)
            fault = self._next_fault(kind)
        return reply if fault is None else fault(reply)

    def _next_fault(self, kind: str) -> Fault | None:
        waiting = self._faults.get(kind)
        if not waiting:
            return None
        fault, times = waiting[0]
        if times is not None:
            waiting[0] = (fault, times - 1)
            if times <= 1:
                waiting.pop(0)
        return fault

    def _right_answer(self, seen: Seen) -> tuple[str, Reply]:
        path = urlsplit(seen.target).path
        if path == "/token":
            return "token", self.tokens.give(seen)
        match = _CONTENT.fullmatch(path)
        if match is None:
            return "ping", status(404, "NOT_FOUND")(Reply())
        repository, what, name = match.groups()
        refusal = self._check_access(seen, repository)
        kind = "blob" if what == "blobs" else "head" if seen.method == "HEAD" else "manifest"
        return kind, refusal or self._content(f"{repository}/{what}", name, seen)

    def _content(self, place: str, name: str, seen: Seen) -> Reply:
        found = self._contents.get((place, name))
        if found is None:
            code = "BLOB_UNKNOWN" if place.endswith("/blobs") else "MANIFEST_UNKNOWN"
            return status(404, code, "not here")(Reply())
        media_type, data = found
        headers = {"Content-Type": media_type, "Docker-Content-Digest": Digest.of(data)}
        match = _RANGE.fullmatch(seen.headers.get("range", ""))
        if match is None:
            return Reply.of(200, headers, data)
        first = int(match[1])
        if first >= len(data):
            return Reply.of(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
        headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        return Reply.of(206, headers, data[first:])

    def _check_access(self, seen: Seen, repository: str) -> Reply | None:
        """The refusal of a request, None when it may pass."""
        access = self.access
        if access.scheme is None:
            return None
        if access.scheme == "basic":
            return access.check_basic(seen)
        realm = access.realm or self._issuer.token_url
        scope = f"repository:{repository}:pull"
        return self._issuer.tokens.check(seen, scope, realm, access.needed_scope)

    def close(self) -> None:
        """Stop the registry, and with it every answer that stalls or does not end."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def __enter__(self) -> Self:
        """Start the registry, and return it."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the registry."""
        self.close()
