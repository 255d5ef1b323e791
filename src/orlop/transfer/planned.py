"""An image whose documents are those of a plan, which may be others than its place has."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from orlop.transfer.source import Holding

if TYPE_CHECKING:
    from orlop.images import BlobStream
    from orlop.spec.descriptor import Descriptor
    from orlop.transfer.plan import Plan
    from orlop.transfer.source import ImageSource


@final
class PlannedSource:
    """What a plan says of an image; its blobs come from where they are; see `ImageSource`.

    Args:
        source: Where the image is.
        plan: What is to be copied of it.
    """

    def __init__(self, source: ImageSource, plan: Plan) -> None:
        self.names = source.names
        self._source = source
        self._target = plan.target
        self._documents = {descriptor.digest: raw for descriptor, raw in plan.documents}

    def resolve(self) -> Descriptor:
        """What the plan names."""
        return self._target

    def read(self, descriptor: Descriptor) -> bytes:
        """A whole document, verified; see `ImageSource.read`."""
        raw = self._documents.get(descriptor.digest)
        return self._source.read(descriptor) if raw is None else raw

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobStream:
        """A stream of a blob, not verified; see `ImageSource.open`."""
        return self._source.open(descriptor, offset)

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether the content of this digest is there, as far as the place knows."""
        if descriptor.digest in self._documents or not isinstance(self._source, Holding):
            return True
        return self._source.holds(descriptor)

    def close(self) -> None:
        """Nothing to give back: the source is its opener's."""
