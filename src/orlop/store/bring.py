"""Images of other places brought into a store: pulled, copied, loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.errors import UnsupportedError
from orlop.metadata import Lease
from orlop.platform import Platform
from orlop.storage.places import writing_to
from orlop.store.image import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.storage.storage import Storage
    from orlop.transfer import (
        CopyOptions,
        ImageSource,
        OpenedImage,
        PullOptions,
        Reporter,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bringing:
    """How an image comes into a store.

    Attributes:
        pull: How its layers come, and what is to mount them.
        platform: Which image of several; this machine's where None.
        all_platforms: Store the others, too, without unpacking them.
        report: Told of every step.
    """

    pull: PullOptions
    platform: Platform | None = None
    all_platforms: bool = False
    report: Reporter


def bring_in(
    storage: Storage, source: ImageSource, names: tuple[str, ...], how: Bringing
) -> list[Image]:
    """Bring an opened image into a store; success means that it is whole, durable and mountable.

    Returns:
        The image under each of the names.

    Raises:
        OrlopError: As `Store.pull`.
        OSError: Something could not be written; what came is kept for the next time.
    """
    from orlop.transfer import Item, Pull, make_plan, select

    host = Platform.of_machine(os.uname().machine)
    with Lease(storage.database, f"pull {names[0]}") as lease:
        selection = select(source, host, how.platform)
        everything = None
        if how.all_platforms:
            everything = Item(source=source, plan=make_plan(source, all_platforms=True))
        with writing_to(storage.places.root):
            pull = Pull(storage, source, lease, how.pull, how.report)
            return [Image(storage, row) for row in pull.run(selection, names, everything)]


def bring_all(
    storage: Storage,
    images: Sequence[OpenedImage],
    options: CopyOptions,
    *,
    name: str | None = None,
) -> list[tuple[list[Image], tuple[str, ...]]]:
    """Bring images into a store, one after the other: each under its names, with notes on it.

    Args:
        storage: The store.
        images: What comes.
        options: What of it, and how.
        name: What one image is called there; as in its place where None.

    Raises:
        OrlopError: As `Store.pull`; the images before are there.
    """
    from orlop.transfer import PullOptions, Reporter

    if name is not None and len(images) > 1:
        raise UnsupportedError(f"{len(images)} images cannot all be called {name}")
    how = Bringing(
        pull=PullOptions(driver=storage.mountables.best_driver(), jobs=options.jobs),
        platform=options.platform,
        all_platforms=options.all_platforms,
        report=Reporter(options.progress),
    )
    return [
        _bring(storage, image, (name,) if name else image.known_names, how, oci=options.oci)
        for image in images
    ]


def _bring(
    storage: Storage, image: OpenedImage, names: tuple[str, ...], how: Bringing, *, oci: bool
) -> tuple[list[Image], tuple[str, ...]]:
    from orlop.transfer import PlannedSource, make_plan, to_oci

    if not oci:
        return bring_in(storage, image.source, names, how), ()
    plan = to_oci(make_plan(image.source, all_platforms=how.all_platforms))
    return bring_in(storage, PlannedSource(image.source, plan), names, how), plan.notes
