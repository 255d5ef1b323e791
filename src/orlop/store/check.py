"""Whether all that an image needs is stored, and undamaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from orlop.errors import InvalidError, NotFoundError, OrlopError
from orlop.images.handlers import SkipDescriptor, children
from orlop.images.walk import walk
from orlop.mediatype import OCI_MANIFEST, is_index, is_manifest
from orlop.metadata import Blobs
from orlop.spec.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.content import LocalContent
    from orlop.digest import Digest
    from orlop.storage.storage import Storage

_CHUNK_SIZE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCheck:
    """What a look at all that an image needs has found.

    Attributes:
        name: The image.
        required: All that it needs, as far as its documents could be read.
        missing: What of that is not stored.
        damaged: What is stored and is not what its descriptor says, with the reason.
    """

    name: str
    required: tuple[Descriptor, ...]
    missing: tuple[Descriptor, ...]
    damaged: tuple[tuple[Descriptor, OrlopError], ...]

    def __bool__(self) -> bool:
        """Whether nothing is missing or damaged."""
        return not self.missing and not self.damaged


@final
class ImageChecker:
    """Looks at what the names of a store stand for.

    Args:
        storage: The store.
        verify: Read every blob, and not only ask for its length.
        all_platforms: Whether all images of an index are needed, or the one that was pulled.
    """

    def __init__(
        self, storage: Storage, *, verify: bool = True, all_platforms: bool = False
    ) -> None:
        self._storage = storage
        self._content: LocalContent = storage.content
        self._verify = verify
        self._all = all_platforms

    def check(self, name: str, target: Descriptor, manifest_digest: Digest) -> ImageCheck:
        """What is there of an image, and what of that is sound; nothing that is wrong raises.

        Args:
            name: What it is called.
            target: What its name stands for.
            manifest_digest: The manifest that was chosen when it was pulled.

        Raises:
            OSError: Something could not be read.
        """
        required: list[Descriptor] = []
        missing: list[Descriptor] = []
        damaged: list[tuple[Descriptor, OrlopError]] = []

        def look(descriptor: Descriptor) -> Iterable[Descriptor]:
            required.append(descriptor)
            try:
                below = self._look(descriptor)
            except NotFoundError:
                missing.append(descriptor)
            except OrlopError as error:
                damaged.append((descriptor, error))
            else:
                if self._all or not is_index(descriptor.media_type):
                    return below
            raise SkipDescriptor

        starts = [target]
        if not self._all and manifest_digest != target.digest:
            starts.append(self._describe(manifest_digest))
        walk(look, *starts)
        return ImageCheck(
            name=name, required=tuple(required), missing=tuple(missing), damaged=tuple(damaged)
        )

    def _look(self, descriptor: Descriptor) -> tuple[Descriptor, ...]:
        """What a document names; of anything else it is seen that it is there, and nothing."""
        if is_manifest(descriptor.media_type) or is_index(descriptor.media_type):
            try:
                return children(self._content, descriptor)
            except InvalidError as error:
                raise error.inside("the document is broken") from error
        self._read(descriptor)
        return ()

    def _read(self, descriptor: Descriptor) -> None:
        with self._content.open(descriptor.digest, descriptor.size) as blob:
            while self._verify and blob.read(_CHUNK_SIZE):
                pass

    def _describe(self, manifest_digest: Digest) -> Descriptor:
        with self._storage.database.read() as tx:
            record = Blobs(tx).get(manifest_digest)
        if record is None:
            return Descriptor(media_type=OCI_MANIFEST, digest=manifest_digest, size=0)
        media_type = record.media_type or OCI_MANIFEST
        return Descriptor(media_type=media_type, digest=manifest_digest, size=record.size)
