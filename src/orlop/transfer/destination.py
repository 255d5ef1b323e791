"""The place on this machine that opened images are copied to."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO, Final

from orlop.errors import (
    InvalidReferenceError,
    LimitExceededError,
    NotFoundError,
    UnsupportedError,
)
from orlop.platform import Platform
from orlop.reference import Reference
from orlop.transfer.convert import to_oci
from orlop.transfer.copy import Item, copy_items
from orlop.transfer.jobs import DEFAULT_JOBS, check_jobs
from orlop.transfer.place import LOCAL_PREFIXES, SourceOptions, is_local
from orlop.transfer.plan import MAX_PLAN_SIZE, make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.layout import Place
    from orlop.transfer.copy import Copied
    from orlop.transfer.opened import OpenedImage
    from orlop.transfer.progress import ProgressCallback

_ARCHIVE_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """What of images is copied, and how.

    Attributes:
        platform: Copy the one manifest for this platform; all that the place holds where None.
        all_platforms: Refuse to leave anything out that an index lists.
        oci: Turn Docker's media types into OCI's, which changes digests.
        jobs: How many blobs are copied at once, 1 to `MAX_JOBS`.
        source: How registries are reached, and what `-` means as a place to read.
        output: What `-` means as a place to write.
        timestamp: The time of everything in archives, in seconds since 1970.
        replace: Whether an archive that is there may be replaced.
        progress: Called with each step.
    """

    platform: Platform | None = None
    all_platforms: bool = False
    oci: bool = False
    jobs: int = DEFAULT_JOBS
    source: SourceOptions = field(default_factory=SourceOptions)
    output: BinaryIO | None = None
    timestamp: int = 0
    replace: bool = False
    progress: ProgressCallback | None = None

    def __post_init__(self) -> None:
        check_jobs(self.jobs)
        if self.platform is not None and self.all_platforms:
            raise ValueError("platform and all_platforms exclude each other")


def parse_destination(text: str) -> Place:
    """The place on this machine that a text names.

    Raises:
        UnsupportedError: It means a registry.
        InvalidReferenceError: It is no place that images can be written to.
    """
    from orlop.layout import parse_place

    if is_local(text):
        return parse_place(text)
    places = ", ".join(f"{prefix}…" for prefix in (*LOCAL_PREFIXES, "store:"))
    if text.startswith(("/", "./", "../", "-")) or text.endswith(_ARCHIVE_SUFFIXES):
        raise InvalidReferenceError(
            f"{text!r} is a path, which does not say what is to lie there",
            hint=f"write one of {places}",
        )
    raise UnsupportedError(
        f"{text} is in a registry, and images are not copied into registries yet",
        hint=f"copy into one of {places}",
    )


def copy_opened(images: Sequence[OpenedImage], place: Place, options: CopyOptions) -> list[Copied]:
    """Copy opened images to a place on this machine, all of them or none.

    Raises:
        InvalidReferenceError: The place names one image, and there are several.
        NotFoundError: There are none.
        UnsupportedError: The place cannot hold such images.
        AlreadyExistsError: Something that may not be replaced is there.
        OrlopError: As `copy`.
    """
    from orlop.layout.write import TargetOptions, open_target

    target = open_target(
        place,
        TargetOptions(
            platform=options.platform or Platform.of_machine(os.uname().machine),
            output=options.output,
            mtime=options.timestamp,
            replace=options.replace,
        ),
    )
    if place.selector is not None and len(images) > 1:
        raise InvalidReferenceError(
            f"{place} names one image, and {len(images)} are to be copied",
            hint="leave the name away: each image keeps its own",
        )
    if not images:
        raise NotFoundError("there is no image to copy")
    items = list(_iter_items(images, place, options))
    return copy_items(items, target, jobs=options.jobs, progress=options.progress)


def _iter_items(
    images: Sequence[OpenedImage], place: Place, options: CopyOptions
) -> Iterator[Item]:
    """What is to be copied of each image; a small place can list a large index many times."""
    left = MAX_PLAN_SIZE
    for image in images:
        item = _item(image, place, options)
        left -= sum(len(raw) for _, raw in item.plan.documents)
        if left < 0:
            raise LimitExceededError(
                f"the documents of {len(images)} images are too large together",
                limit="MAX_PLAN_SIZE",
                value=MAX_PLAN_SIZE,
                hint="copy fewer images at once",
            )
        yield item


def _item(image: OpenedImage, place: Place, options: CopyOptions) -> Item:
    plan = make_plan(image.source, platform=options.platform, all_platforms=options.all_platforms)
    item = Item(
        source=image.source,
        plan=to_oci(plan) if options.oci else plan,
        names=tuple(name for name in map(_tagged, image.names) if name),
        tags=image.tags,
        fallback=image.fallback,
    )
    if place.selector is not None:
        item = _called(item, place, place.selector)
    return _as_kept(item, place)


def _as_kept(item: Item, place: Place) -> Item:
    """The item with those of its names that a place of this form can keep."""
    if place.transport == "dir":
        return replace(item, names=(), tags=())
    if place.transport == "docker-archive":
        return replace(item, names=item.image.full_names, tags=())
    return item


def _called(item: Item, place: Place, selector: str) -> Item:
    """The item under the name that the destination asks for."""
    from orlop.layout.names import full_name

    name = _docker_name(selector) if place.transport == "docker-archive" else full_name(selector)
    names, tags = ((name,), ()) if name else ((), (selector,))
    return replace(item, names=names, tags=tags)


def _docker_name(selector: str) -> str:
    reference = Reference.parse(selector).with_default_tag()
    if reference.digest is not None:
        raise InvalidReferenceError(
            f"{selector!r} has a digest, which the copy may not have", hint="give a name and a tag"
        )
    return str(reference)


def _tagged(name: str) -> str | None:
    """The name by its tag alone: a digest beside it may be another's than that of the copy."""
    reference = Reference.parse(name)
    return str(replace(reference, digest=None)) if reference.tag else None
