"""Single blobs, fetched again from the registries that the names of their images say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.errors import InvalidReferenceError, NotFoundError, OrlopError
from orlop.images.rows import decode_target
from orlop.mediatype import is_index, is_manifest
from orlop.metadata import Blobs, Images
from orlop.metadata.content import LeasedContent
from orlop.reference import Reference
from orlop.spec.document import decode_document
from orlop.spec.index import Index
from orlop.transfer.keep import StoredContent
from orlop.transfer.place import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.metadata import ImageRow, Lease
    from orlop.spec.descriptor import Descriptor
    from orlop.storage.storage import Storage
    from orlop.transfer.place import SourceOptions

_LOCAL: Final = "localhost"
_ABOVE: Final = """
    WITH RECURSIVE above (digest) AS (
        SELECT ? UNION SELECT parent FROM above JOIN edges ON child = above.digest
    )
    SELECT digest FROM above
"""


class Refetcher:
    """Fetches blobs of a store again, by digest, whatever a tag means by now.

    Args:
        storage: The store.
        options: How registries are reached.
    """

    def __init__(self, storage: Storage, options: SourceOptions) -> None:
        self._storage = storage
        self._options = options

    def __call__(self, digest: Digest, lease: Lease) -> None:
        """Fetch one blob, in place of what is stored; see `orlop.storage.check.BlobFetcher`.

        Raises:
            NotFoundError: No image that needs it is called after a registry, or none there has it.
            RegistryError: None of the registries could be reached, or gave it.
            VerificationError: What came is something else.
            OSError: It could not be written; what came is kept for the next time.
        """
        failure: OrlopError = NotFoundError(
            f"no image that needs {digest} is called after a registry",
            hint="pull or load such an image again",
        )
        for row in self._images(digest):
            descriptor = self._describe(row, digest)
            if descriptor is not None:
                try:
                    self._fetch(row.name, descriptor, lease)
                except OrlopError as error:
                    failure = error
                else:
                    return
        raise failure

    def _images(self, digest: Digest) -> list[ImageRow]:
        """The images that need a blob, as far as they are called after registries."""
        with self._storage.database.read() as tx:
            above = {row[0] for row in tx.rows(_ABOVE, (digest,))}
            rows = list(Images(tx).list())
        return [
            row
            for row in rows
            if above & {row.target_digest, row.manifest_digest, row.image_id}
            and _is_remote(row.name)
        ]

    def _describe(self, row: ImageRow, digest: Digest) -> Descriptor | None:
        """What an image says of a blob: its target is that, or a document that is stored is."""
        target = decode_target(row)
        if target.digest == digest:
            return target
        with self._storage.database.read() as tx:
            parents = [Digest(each[0]) for each in tx.rows(_PARENTS, (digest,))]
        named = (each for parent in parents for each in self._named(parent))
        return next((each for each in named if each.digest == digest), None)

    def _named(self, document: Digest) -> Iterator[Descriptor]:
        """What a stored document names; nothing where it is damaged."""
        with self._storage.database.read() as tx:
            record = Blobs(tx).get(document)
        if record is None:
            return
        try:
            raw = self._storage.content.read(document, record.size)
            decoded = decode_document(raw, record.media_type)
        except OrlopError:
            return
        if isinstance(decoded, Index):
            yield from decoded.manifests
        else:
            yield decoded.config
            yield from decoded.layers

    def _fetch(self, name: str, descriptor: Descriptor, lease: Lease) -> None:
        content = LeasedContent(self._storage.content, self._storage.database, lease)
        target = StoredContent(content)
        with open_source(name, self._options) as (source, _):
            if is_index(descriptor.media_type) or is_manifest(descriptor.media_type):
                target.put_document(descriptor, source.read(descriptor))
            else:
                with source.open(descriptor) as stream:
                    target.put_blob(descriptor, stream)


_PARENTS: Final = "SELECT parent FROM edges WHERE child = ?"


def _is_remote(name: str) -> bool:
    """Whether an image is called after a registry."""
    try:
        return Reference.parse(name).domain != _LOCAL
    except InvalidReferenceError:
        return False
