"""Images into an OCI layout, whatever its form; several processes may write to one at once.

Blobs come first; when all are there and durable, one change of `index.json` names the images. What
is killed or fails before leaves blobs that nothing names, which a collection of the layout takes.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self, final

from orlop.errors import AlreadyExistsError, NotFoundError
from orlop.layout.blobs import new_blob_writer, stat_blob
from orlop.layout.driver.access import sharing
from orlop.layout.driver.archive import ArchiveDriver
from orlop.layout.image import init, read_image_layout, read_index, update_index
from orlop.layout.read.saved import MANIFEST_FILE
from orlop.layout.write.archive import ArchiveTarget
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
            InvalidDocumentError: Its `oci-layout` or `index.json` is broken.
            OSError: It cannot be made (EACCES, ENOSPC).
        """
        self._images = images
        try:
            self._check()
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

    def _check(self) -> None:
        """Succeed if this is a layout that images can be added to."""
        read_image_layout(self._driver)
        read_index(self._driver)

    def _make(self) -> None:
        try:
            init(self._driver)
        except AlreadyExistsError:
            try:
                self._check()  # Somebody else may just have made it.
            except NotFoundError:
                pass
            else:
                return
            raise


@final
class OciArchiveTarget:
    """An archive of a layout: images are added to one that is there; see `ImageTarget`.

    Args:
        path: The archive.
        mtime: The time of all members, in seconds since 1970.
    """

    def __init__(self, path: str, *, mtime: int = 0) -> None:
        self._path = path
        self._mtime = mtime
        self._stack = ExitStack()
        self._inner: ArchiveTarget | LayoutTarget = ArchiveTarget(path, mtime=mtime)
        self._driver: ArchiveDriver | None = None

    @property
    def ordered(self) -> bool:
        """Whether the archive is new, and written from its beginning to its end."""
        return self._inner.ordered

    def begin(self, images: Sequence[NamedImage]) -> None:
        """Begin a new archive, or to change the one that is there.

        Raises:
            InvalidDocumentError: What is there is an archive of something else.
            UnsupportedError: It is compressed.
            OSError: It cannot be read, or nothing be written beside it.
        """
        try:
            self._inner.begin(images)
        except AlreadyExistsError:
            if os.path.isdir(self._path):
                raise
            self._driver = ArchiveDriver(self._path, mtime=self._mtime)
            self._stack.callback(self._driver.close)
            self._inner = LayoutTarget(self._driver)
            self._inner.begin(images)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether a blob of this digest and size is there."""
        return self._inner.has(descriptor)

    def put_document(self, descriptor: Descriptor, raw: bytes) -> None:
        """Store a document; see `ImageTarget.put_document`."""
        self._inner.put_document(descriptor, raw)

    def put_blob(self, descriptor: Descriptor, stream: Stream) -> None:
        """Store a blob, verified; see `ImageTarget.put_blob`."""
        self._inner.put_blob(descriptor, stream)

    def finish(self) -> list[str]:
        """Put the archive in its place, with all images named."""
        notes = self._inner.finish()
        if self._driver is not None:
            if MANIFEST_FILE in self._driver.paths(MANIFEST_FILE):
                notes.append(f"{self._path} as a docker-archive has the images that it had")
            self._driver.commit()
        return notes

    def close(self) -> None:
        """Leave an archive without an end as it was; idempotent."""
        self._inner.close()
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
