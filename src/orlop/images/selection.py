"""Handlers that leave out what is not wanted: other platforms, and more than a few images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import NotFoundError
from orlop.mediatype import is_index
from orlop.platform import matches, ranked

if TYPE_CHECKING:
    from orlop.images.handlers import Children, Handler
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor


def filter_platforms(handler: Handler, *platforms: Platform) -> Children:
    """A handler that gives what `handler` gives, but for what none of these platforms runs.

    What says no platform stays. Without any platform, all stays.
    """

    def suits(child: Descriptor) -> bool:
        said = child.platform
        return said is None or not platforms or any(matches(each, said) for each in platforms)

    def handle(descriptor: Descriptor) -> tuple[Descriptor, ...]:
        return tuple(filter(suits, handler(descriptor) or ()))

    return handle


def limit_manifests(handler: Handler, platform: Platform, count: int) -> Children:
    """A handler that gives, of what `handler` gives for an index, the few that suit best.

    They come best first; those that say no platform after those that suit, and at last those that
    do not suit, unless `filter_platforms` lies inside. What is no index is left as it is.

    Args:
        handler: What knows the children.
        platform: What they are to run on.
        count: How many may remain, at least 1.

    Raises:
        ValueError: The count is less than 1.
        NotFoundError: From the handler: nothing of an index is left.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")

    def handle(descriptor: Descriptor) -> tuple[Descriptor, ...]:
        found = tuple(handler(descriptor) or ())
        if not is_index(descriptor.media_type):
            return found
        if not found:
            raise NotFoundError(f"{descriptor.digest} has no image for {platform}")
        return _sorted(found, platform)[:count]

    return handle


def _sorted(found: tuple[Descriptor, ...], platform: Platform) -> tuple[Descriptor, ...]:
    suiting = ranked(platform, [each.platform for each in found])
    others = sorted(set(range(len(found))).difference(suiting))
    return tuple(found[at] for at in (*suiting, *others))
