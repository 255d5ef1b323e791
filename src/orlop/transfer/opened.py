"""Images of any place, opened to be copied, with all that they are called there."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orlop.transfer.place import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orlop.layout.place import Place
    from orlop.layout.read import LocalSource
    from orlop.transfer.place import SourceOptions
    from orlop.transfer.source import ImageSource


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedImage:
    """An image that can be read, and its names.

    Attributes:
        source: The image.
        names: The full references that its place gives it.
        tags: What else it is called there: words that are no full references.
        fallback: A full reference made up of the place.
    """

    source: ImageSource
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    fallback: str

    @property
    def known_names(self) -> tuple[str, ...]:
        """Its full references; the one that was made up where the place gives it none."""
        return self.names or (self.fallback,)

    def called(self, name: str) -> OpenedImage:
        """The image under another full reference alone."""
        return replace(self, names=(name,), tags=(), fallback=name)


@contextmanager
def open_image(text: str, options: SourceOptions) -> Iterator[OpenedImage]:
    """Open the image that a text means; see `open_source`."""
    with open_source(text, options) as (source, fallback):
        tags = getattr(source, "tags", ())
        yield OpenedImage(
            source=source, names=tuple(source.names), tags=tuple(tags), fallback=fallback
        )


@contextmanager
def open_images(place: Place, options: SourceOptions) -> Iterator[list[OpenedImage]]:
    """Open every image of a place on this machine, in its order, whatever its selector.

    Raises:
        OrlopError: The place cannot be opened, as `orlop.layout.open_all` says.
    """
    from orlop.layout.read import open_all

    with open_all(place, spool=options.spool, stream=options.stream) as sources:
        yield [_opened(place, source) for source in sources]


@contextmanager
def open_archive(path: Path, options: SourceOptions) -> Iterator[list[OpenedImage]]:
    """Open every image of an archive or directory, of whatever form it is.

    Raises:
        InvalidArchiveError: It is of none that is known.
        OrlopError: It cannot be opened, as `orlop.layout.open_all` says.
    """
    from orlop.layout.read import open_any

    with open_any(path, spool=options.spool, stream=options.stream) as (place, sources):
        yield [_opened(place, source) for source in sources]


def _opened(place: Place, source: LocalSource) -> OpenedImage:
    from orlop.layout.names import fallback_name, ref_name_of

    return OpenedImage(
        source=source,
        names=source.names,
        tags=source.tags,
        fallback=fallback_name(place, ref_name_of(source.resolve())),
    )
