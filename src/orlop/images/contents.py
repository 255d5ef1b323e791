"""What an image is made of: how much that is, what of it is stored, and whether that is all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.errors import InvalidError, NotFoundError
from orlop.images.choice import choose
from orlop.images.handlers import children, children_handler
from orlop.images.provider import embedded_data
from orlop.images.selection import filter_platforms
from orlop.images.walk import iter_walk
from orlop.mediatype import is_index, is_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.digest import Digest
    from orlop.images.handlers import Children
    from orlop.images.provider import Inventory, Provider
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """What of an image is stored.

    Attributes:
        available: Whether all documents that say what is required could be read.
        required: The configs and layers that it takes, and documents that are not there.
        present: Those that are stored, in the length that is said.
        missing: Those that are not.
    """

    available: bool
    required: tuple[Descriptor, ...]
    present: tuple[Descriptor, ...]
    missing: tuple[Descriptor, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.available and not self.missing


def parts(
    provider: Provider, target: Descriptor, platform: Platform | None = None
) -> Iterator[Descriptor]:
    """Everything that an image is made of, documents first; with a platform, of that one alone.

    Raises:
        OrlopError: As `choose` with a platform, else as `children` and `walk`.
    """
    if platform is None:
        yield from iter_walk(children_handler(provider), target)
    else:
        choice = choose(provider, target, platform)
        yield from choice.documents
        yield choice.manifest.config
        yield from choice.manifest.layers


def size(provider: Provider, target: Descriptor, platform: Platform | None = None) -> int:
    """Bytes of everything that an image is made of as it is packed, each blob counted once.

    Args:
        provider: Where its documents are; layers and configs need not be there.
        target: What the image's name stands for.
        platform: The one that counts; all that there are where None.

    Raises:
        InvalidError: A descriptor says a negative size.
        OrlopError: As `parts`.
    """
    sizes: dict[Digest, int] = {}
    for part in parts(provider, target, platform):
        if part.size < 0:
            raise InvalidError(f"{part.digest} has a size of {part.size} bytes", where="size")
        sizes.setdefault(part.digest, part.size)
    return sum(sizes.values())


def usage(provider: Inventory, target: Descriptor, platform: Platform | None = None) -> int:
    """Bytes that an image's blobs take where they are stored; what is not there takes none.

    Args:
        provider: Where they are.
        target: What the image's name stands for.
        platform: Only images that it runs count, and those that say no platform; all where None.

    Raises:
        OrlopError: As `children` and `walk`, but for documents that are not there.
    """
    handler = _children_here(provider, [])
    if platform is not None:
        handler = filter_platforms(handler, platform)
    found = {part.digest for part in iter_walk(handler, target)}
    return sum(info.size for info in map(provider.stat, found) if info is not None)


def check(
    provider: Inventory, target: Descriptor, platform: Platform | None = None
) -> Completeness:
    """Find what of an image is stored, without reading configs and layers.

    An image for a platform whose documents are not all there, or that is not in the index, is not
    available, and all that can be said to be missing is the target. Without a platform each
    document that is not there is missing itself.

    Args:
        provider: Where it is looked for.
        target: What the image's name stands for.
        platform: The one that is wanted; all that there are where None.

    Raises:
        OrlopError: As `choose` and `children`, but for documents that are not there.
    """
    if platform is None:
        absent: list[Descriptor] = []
        walked = list(iter_walk(_children_here(provider, absent), target))
        leaves = [each for each in walked if not _is_document(each)]
        return _compare(provider, leaves, absent)
    try:
        found = choose(provider, target, platform).manifest
    except NotFoundError:
        return _compare(provider, (), (target,))
    return _compare(provider, (found.config, *found.layers), ())


def _compare(
    provider: Inventory, leaves: Iterable[Descriptor], absent: Iterable[Descriptor]
) -> Completeness:
    unread = tuple(absent)
    wanted = {leaf.digest: leaf for leaf in reversed(tuple(leaves))}
    required = tuple(reversed(wanted.values()))
    here = {leaf.digest for leaf in required if _is_here(provider, leaf)}
    return Completeness(
        available=not unread,
        required=(*unread, *required),
        present=tuple(leaf for leaf in required if leaf.digest in here),
        missing=(*unread, *(leaf for leaf in required if leaf.digest not in here)),
    )


def _is_here(provider: Inventory, descriptor: Descriptor) -> bool:
    info = provider.stat(descriptor.digest)
    if info is None:
        return embedded_data(descriptor) is not None
    return info.size == descriptor.size


def _children_here(provider: Provider, absent: list[Descriptor]) -> Children:
    """Children of what is there; what is not is noted."""

    def handle(descriptor: Descriptor) -> tuple[Descriptor, ...]:
        try:
            return children(provider, descriptor)
        except NotFoundError:
            absent.append(descriptor)
            return ()

    return handle


def _is_document(descriptor: Descriptor) -> bool:
    return is_manifest(descriptor.media_type) or is_index(descriptor.media_type)
