"""What bundlers and caches ask of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from orlop.errors import LimitExceededError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from orlop.bundle.options import SpecOption
    from orlop.digest import Digest
    from orlop.spec.config import ImageConfig
    from orlop.storage.storage import Storage


Image_contra = TypeVar("Image_contra", contravariant=True)
"""What a bundler knows images by: a name, or an image of a cache."""


class LayerStream(Protocol):
    """The bytes of a layer, compressed or not; a context manager."""

    def read(self, size: int, /) -> bytes:
        """The next bytes; none at the end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> object: ...


class BundleImage(Protocol):
    """An image that bundles are made of, wherever it is."""

    @property
    def digest(self) -> Digest:
        """The digest of its manifest."""

    @property
    def config(self) -> ImageConfig:
        """How to run it, and which layers it has."""

    def open_layer(self, number: int) -> LayerStream:
        """The bytes of a layer, the base 0; whoever reads them holds them against its diffID."""


class Bundle(Protocol):
    """A directory that an OCI runtime runs a container from."""

    @property
    def path(self) -> Path:
        """Where it is."""

    def cleanup(self) -> None:
        """Remove it once the container has ended; removing it again does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class HasStorage(Protocol):
    """A store that applications open: `orlop.Store`."""

    @property
    def storage(self) -> Storage:
        """What it is made of."""


class Bundler(Protocol[Image_contra]):
    """Makes bundles of images."""

    def bundle(self, image: Image_contra, id: str, /, *options: SpecOption) -> Bundle:  # noqa: A002
        """A bundle that is ready for a runtime.

        Args:
            image: What the bundler knows the image by.
            id: What the container is called.
            options: How it is to be run, after what the image says.
        """


def check_layer_count(count: int, limit: int) -> None:
    """Succeed if an image has no more layers than it may.

    Raises:
        LimitExceededError: It has.
    """
    if count > limit:
        raise LimitExceededError(f"the image has {count} layers", limit="MAX_LAYERS", value=limit)
