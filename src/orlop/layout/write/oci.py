"""Images into an OCI layout, whatever its form; several processes may write to one at once.

Blobs come first; when all are there and durable, one change of `index.json` names the images. What
is killed or fails before leaves blobs that nothing names, which a collection of the layout takes.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, final

from orlop.errors import AlreadyExistsError, NotFoundError
from orlop.layout.blobs import new_blob_writer, stat_blob
from orlop.layout.driver.access import sharing
from orlop.layout.image import init, read_image_layout, update_index
from orlop.layout.write.named import with_images
from orlop.layout.write.pieces import iter_pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.layout.driver.protocol import ImageDriver
    from orlop.layout.write.named import NamedImage
    from orlop.layout.write.pieces import Stream
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.index import Index


@final
class LayoutTarget:
    """A layout that images are added to, made where there is none; see `ImageTarget`.

    Args:
        driver: The layout.
    """

    ordered = False

    def __init__(self, driver: ImageDriver) -> None:
        self._driver = driver
        self._images: Sequence[NamedImage] = ()
        self._stack = ExitStack()

    def begin(self, images: Sequence[NamedImage]) -> None:
        """Open or make the layout, and keep collectors away from it.

        Raises:
            AlreadyExistsError: There is something else in its place.
            InvalidDocumentError: Its `oci-layout` is broken.
            OSError: It cannot be made (EACCES, ENOSPC).
        """
        self._images = images
        try:
            read_image_layout(self._driver)
        except NotFoundError:
            self._make()
        self._stack.enter_context(sharing(self._driver))

    def has(self, descriptor: Descriptor) -> bool:
        """Whether a blob of this digest and size is there."""
        return stat_blob(self._driver, descriptor.digest) == descriptor.size

    def put_document(self, descriptor: Descriptor, raw: bytes) -> None:
        """Store a document that was verified; see `ImageTarget.put_document`."""
        if not self.has(descriptor):
            with new_blob_writer(self._driver, descriptor.digest.algorithm) as writer:
                writer.write(raw)
                writer.commit(descriptor.size, descriptor.digest)

    def put_blob(self, descriptor: Descriptor, stream: Stream) -> None:
        """Store a blob, verified and durable; see `ImageTarget.put_blob`."""
        with new_blob_writer(self._driver, descriptor.digest.algorithm) as writer:
            for piece in iter_pieces(descriptor, stream):
                writer.write(piece)
            writer.commit(descriptor.size, descriptor.digest)

    def finish(self) -> list[str]:
        """Name all images in one step; what they could not be called.

        Raises:
            InvalidDocumentError: The layout's index is broken.
            LimitExceededError: It would become too large.
            OSError: It could not be written; no image is named.
        """
        notes: list[str] = []

        def change(index: Index) -> Index:
            changed, found = with_images(index, self._images)
            notes.extend(found)
            return changed

        update_index(self._driver, change)
        return notes

    def close(self) -> None:
        """Let collectors in again; idempotent."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self) -> None:
        try:
            init(self._driver)
        except AlreadyExistsError:
            try:
                read_image_layout(self._driver)  # Somebody else has just made it.
            except NotFoundError:
                pass
            else:
                return
            raise
