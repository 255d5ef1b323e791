"""What a pull asks of the place that an image comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.images import BlobStream
    from orlop.spec.descriptor import Descriptor


class ImageSource(Protocol):
    """One image, in a registry, a layout or an archive; several threads may read from it."""

    @property
    def names(self) -> Sequence[str]:
        """The full references that the place itself gives the image; may be none."""

    def resolve(self) -> Descriptor:
        """The image's top-level manifest or index."""

    def read(self, descriptor: Descriptor) -> bytes:
        """A whole document, bounded and verified."""

    def open(self, descriptor: Descriptor, offset: int = 0) -> BlobStream:
        """A stream of a blob, from `offset` where the place can."""

    def close(self) -> None:
        """Let go of the place."""


@runtime_checkable
class Holding(Protocol):
    """A source that knows at once what it has; one that is asked for the rest lacks it."""

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether the content of this digest is there, whatever its size."""
