"""Copying images from place to place, byte for byte, so that their digests stay what they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from orlop.parallel import Cancellation, run_all
from orlop.transfer.blob import BlobCopy
from orlop.transfer.jobs import DEFAULT_JOBS
from orlop.transfer.plan import make_plan
from orlop.transfer.progress import Reporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.digest import Digest
    from orlop.layout.write.named import NamedImage
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor
    from orlop.transfer.plan import Plan
    from orlop.transfer.progress import ProgressCallback
    from orlop.transfer.source import ImageSource
    from orlop.transfer.target import BlobTarget, ImageTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What became of one image.

    Attributes:
        target: The top-level manifest or index of the copy.
        names: What it is called where it went; may be none.
        notes: What differs from the image as it was, each in one line.
    """

    target: Descriptor
    names: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def digest(self) -> Digest:
        """The digest of the copy."""
        return self.target.digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image that is to be copied.

    Attributes:
        source: Where it is.
        plan: What of it is copied.
        names: The full references that the copy has.
        tags: What else it is called.
        fallback: A full reference for a place that needs one.
    """

    source: ImageSource
    plan: Plan
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    fallback: str | None = None

    @property
    def image(self) -> NamedImage:
        """The image with its names."""
        from orlop.layout.write.named import NamedImage

        return NamedImage(
            target=self.plan.target, names=self.names, tags=self.tags, fallback=self.fallback
        )


def copy(
    source: ImageSource,
    target: ImageTarget,
    *,
    names: Sequence[str] | None = None,
    platform: Platform | None = None,
    all_platforms: bool = False,
    jobs: int = DEFAULT_JOBS,
    progress: ProgressCallback | None = None,
) -> Copied:
    """Copy one image; success means that it is whole, durable and named where it went.

    Args:
        source: Where it is.
        target: Where it goes; left when this returns, with or without an error.
        names: The full references that it has there; those of the source where None.
        platform: Copy the one manifest for this platform; all that the source holds where None.
        all_platforms: Refuse to leave anything out that an index lists.
        jobs: How many blobs are copied at once.
        progress: Called with each step.

    Raises:
        NotFoundError: The source lacks what must be copied.
        VerificationError: Something is not what its descriptor says; nothing was named.
        InvalidDocumentError: A document is broken; nothing was named.
        UnsupportedError: The target cannot hold such an image.
        AlreadyExistsError: The target holds something that may not be replaced.
        OSError: Something could not be read or written; nothing was named.
    """
    plan = make_plan(source, platform=platform, all_platforms=all_platforms)
    item = Item(source=source, plan=plan, names=tuple(source.names if names is None else names))
    return copy_items([item], target, jobs=jobs, progress=progress)[0]


def copy_items(
    items: Sequence[Item],
    target: ImageTarget,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: ProgressCallback | None = None,
) -> list[Copied]:
    """Copy several images at once, what they share once, and name them in one step.

    Raises:
        OrlopError: As `copy`.
    """
    with target:
        target.begin([item.image for item in items])
        left_out = copy_content(items, target, jobs=jobs, report=Reporter(progress))
        notes = (*left_out, *target.finish())
    return [
        Copied(
            target=item.plan.target,
            names=item.names + item.tags,
            notes=(*item.plan.notes, *notes) if number == 0 else item.plan.notes,
        )
        for number, item in enumerate(items)
    ]


def copy_content(
    items: Sequence[Item], target: BlobTarget, *, jobs: int, report: Reporter
) -> list[str]:
    """Copy the documents and blobs of images, and name nothing.

    Returns:
        Notes on layers that were left out.

    Raises:
        OrlopError: As `copy`.
    """
    documents = {entry[0].digest: entry for item in items for entry in item.plan.documents}
    blobs = {
        (blob.digest, blob.size): BlobCopy(item.source, blob, target, report)
        for item in items
        for blob in item.plan.blobs
        if blob.digest not in documents
    }
    if target.ordered:
        _put_documents(documents, target)
        return _run(sorted(blobs.values(), key=BlobCopy.order), jobs=1)
    notes = _run(sorted(blobs.values(), key=BlobCopy.size, reverse=True), jobs=jobs)
    _put_documents(documents, target)
    return notes


def _put_documents(documents: dict[Digest, tuple[Descriptor, bytes]], target: BlobTarget) -> None:
    for descriptor, raw in documents.values():
        target.put_document(descriptor, raw)


def _run(blobs: Sequence[BlobCopy], *, jobs: int) -> list[str]:
    cancellation = Cancellation()
    tasks = [partial(blob.run, cancellation) for blob in blobs]
    notes = run_all(tasks, jobs=jobs, cancellation=cancellation)
    return [note for note in notes if note is not None]
