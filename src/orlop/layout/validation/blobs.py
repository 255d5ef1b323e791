"""The blobs of a layout, each read and hashed once, be it a document, a layer or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.digest import digest_of
from orlop.errors import LimitExceededError, OrlopError
from orlop.layout.blobs import stat_blob
from orlop.layout.driver.access import open_file
from orlop.layout.driver.path import BLOBS, blob_path
from orlop.layout.driver.protocol import Enumerable
from orlop.layout.validation.content import BLOB, Blob
from orlop.layout.validation.descriptors import as_digest
from orlop.layout.validation.found import READABLE
from orlop.layout.validation.layers import LAYER, Layer, LayerPass
from orlop.layout.validation.rule import broken
from orlop.spec.json import MAX_DOCUMENT_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from orlop.digest import Digest
    from orlop.layout.driver.protocol import ImageDriver
    from orlop.layout.validation.rule import Violation

MAX_BLOBS: Final = 1_000_000
"""Files below `blobs` that are looked at in one layout."""

_CHUNK_SIZE: Final = 1 << 20


class Blobs:
    """The blobs of one layout; what is wrong with one is told when it is first read.

    Args:
        driver: The layout.
    """

    def __init__(self, driver: ImageDriver) -> None:
        self._driver = driver
        self._judged: set[str] = set()
        self._sizes: dict[Digest, int | None] = {}
        self._looked_into: set[Digest] = set()
        self._layers: dict[tuple[Digest, str], Layer] = {}

    def size(self, digest: Digest) -> int | None:
        """The length of a blob in bytes; None where there is none that can be opened."""
        if digest not in self._sizes:
            try:
                self._sizes[digest] = stat_blob(self._driver, digest)
            except OrlopError:
                self._sizes[digest] = None
        return self._sizes[digest]

    def document(self, digest: Digest) -> Generator[Violation, None, bytes | None]:
        """The whole of a blob; None where it is too large, or not what its digest says."""
        path, data = blob_path(digest), bytearray()

        def take(piece: bytes) -> None:
            if len(data) <= MAX_DOCUMENT_SIZE:
                data.extend(piece)

        blob = yield from self._read(path, take)
        if len(data) > MAX_DOCUMENT_SIZE:
            limit = f"limit MAX_DOCUMENT_SIZE = {MAX_DOCUMENT_SIZE}"
            yield READABLE.broken(path, f"is a document of {blob.size} bytes ({limit})")
            return None
        return bytes(data) if blob.actual == digest else None

    def layer(self, digest: Digest, algorithm: str) -> Generator[Violation, None, Layer]:
        """What is known of a layer, its diffID by this algorithm among it."""
        known = self._layers.get((digest, algorithm))
        if known is not None:
            return known
        first = digest not in self._looked_into
        self._looked_into.add(digest)
        look = LayerPass(algorithm)
        yield from self._read(blob_path(digest), look.feed)
        layer = look.close()
        if first:
            yield from broken(LAYER, layer, blob_path(digest))
        self._layers[digest, algorithm] = layer.without_findings()
        return layer

    def others(self) -> Iterator[Violation]:
        """What is wrong with the blobs that nothing has led to."""
        if isinstance(self._driver, Enumerable):
            for path in self._driver.paths(f"{BLOBS}/"):
                if path not in self._judged:
                    yield from self._read(path, None)

    def _read(
        self, path: str, take: Callable[[bytes], object] | None
    ) -> Generator[Violation, None, Blob]:
        blob = _read_to_end(self._driver, path, take)
        if path not in self._judged:
            self._judged.add(path)
            if len(self._judged) > MAX_BLOBS:
                raise LimitExceededError(
                    f"{self._driver} has too many blobs", limit="MAX_BLOBS", value=MAX_BLOBS
                )
            yield from broken(BLOB, blob, path)
        return blob


def _read_to_end(driver: ImageDriver, path: str, take: Callable[[bytes], object] | None) -> Blob:
    """A file below `blobs`, hashed, where its name is a digest that can be computed."""
    digest = as_digest(path.removeprefix(f"{BLOBS}/").replace("/", ":", 1))
    state = digest.hasher() if digest is not None and digest.computable else None
    size = 0
    try:
        with open_file(driver, path) as reader:
            while state is not None and (piece := reader.read(_CHUNK_SIZE)):
                size += len(piece)
                state.update(piece)
                if take is not None:
                    take(piece)
    except OrlopError as error:
        return Blob(path=path, digest=digest, unreadable=str(error))
    actual = None if state is None else digest_of(state)
    return Blob(path=path, digest=digest, size=size, actual=actual)
