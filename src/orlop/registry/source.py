"""One image at a registry, as what a transfer reads from."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from orlop.reference import Reference
    from orlop.registry.blob import BlobStream
    from orlop.registry.client import RegistryClient
    from orlop.registry.document import Document
    from orlop.spec.descriptor import Descriptor


class RegistrySource:
    """The image that a reference means; a context manager, safe for several threads.

    The reference is resolved once, so that a tag that moves meanwhile does not mix two images.

    Args:
        client: Requests; stays open when the source is closed.
        reference: The image; the tag is `latest` where it has neither tag nor digest.
    """

    def __init__(self, client: RegistryClient, reference: Reference) -> None:
        self._client = client
        self._reference = reference.with_default_tag()
        self._lock = threading.Lock()
        self._top: Document | None = None

    @property
    def names(self) -> Sequence[str]:
        """The reference in full."""
        return (str(self._reference),)

    def resolve(self) -> Descriptor:
        """The top-level manifest or index; raises as `RegistryClient.resolve` does."""
        with self._lock:
            if self._top is None:
                self._top = self._client.lookup(self._reference)
            return self._top.descriptor

    def read(self, descriptor: Descriptor) -> bytes:
        """A document's bytes, verified; raises as `RegistryClient.fetch_document` does."""
        with self._lock:
            top = self._top
        if top is not None and top.raw is not None and top.descriptor == descriptor:
            return top.raw
        return self._client.fetch_document(self._reference, descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobStream:
        """A blob's bytes, unverified; raises as `RegistryClient.open_blob` does."""
        return self._client.open_blob(self._reference, descriptor, offset)

    def close(self) -> None:
        """Forget what was resolved; the client stays open."""
        with self._lock:
            self._top = None

    def __enter__(self) -> Self:
        """Return the source itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the source."""
        self.close()
