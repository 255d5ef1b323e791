"""A store as a place that content is copied to, beside what a pull unpacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from orlop.errors import VerificationError
from orlop.mediatype import is_index, is_manifest
from orlop.spec.document import decode_document
from orlop.spec.index import Index

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.layout.write.pieces import Stream
    from orlop.metadata.content import LeasedContent
    from orlop.spec.descriptor import Descriptor


@final
class StoredContent:
    """The blobs of a store, kept by the lease of whoever copies; see `BlobTarget`.

    Args:
        content: The blobs and their records.
    """

    ordered = False

    def __init__(self, content: LeasedContent) -> None:
        self._content = content

    def has(self, descriptor: Descriptor) -> bool:
        """Whether a blob of this digest and size is there; if so, it is leased."""
        info = self._content.claim(descriptor.digest)
        return info is not None and info.size == descriptor.size

    def put_document(self, descriptor: Descriptor, raw: bytes) -> None:
        """Store a document, undamaged, and record what it names; see `BlobTarget.put_document`."""
        children = children_of(descriptor, raw)
        if self._is_stored(descriptor.digest, raw):
            self._content.describe(descriptor.digest, descriptor.media_type, children)
        else:
            self._content.put(
                raw,
                digest=descriptor.digest,
                media_type=descriptor.media_type,
                children=children,
            )

    def put_blob(self, descriptor: Descriptor, stream: Stream) -> None:
        """Store a blob, verified and durable; see `BlobTarget.put_blob`."""
        from orlop.layout.write.pieces import iter_pieces

        with self._content.ingest(
            descriptor.digest,
            digest=descriptor.digest,
            size=descriptor.size,
            media_type=descriptor.media_type,
        ) as ingest:
            if ingest.offset:
                ingest.restart()
            try:
                for piece in iter_pieces(descriptor, stream):
                    ingest.write(piece)
            except VerificationError:
                ingest.abort()
                raise
            ingest.commit()

    def _is_stored(self, digest: Digest, raw: bytes) -> bool:
        """Whether a document is here, leased and undamaged."""
        if self._content.claim(digest) is None:
            return False
        try:
            return self._content.read(digest, len(raw)) == raw
        except VerificationError:
            return False


def children_of(descriptor: Descriptor, raw: bytes) -> tuple[Digest, ...]:
    """What a manifest or an index names; nothing for any other document."""
    if not is_manifest(descriptor.media_type) and not is_index(descriptor.media_type):
        return ()
    document = decode_document(raw, descriptor.media_type)
    if isinstance(document, Index):
        return tuple(child.digest for child in document.manifests)
    return (document.config.digest, *(layer.digest for layer in document.layers))
