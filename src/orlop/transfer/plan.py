"""What belongs to an image, and how much of it its place holds.

An image is copied as it is: with every manifest, config and layer below its target. A place may
hold less than an index lists, as a store does that has pulled one platform of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError, NotFoundError
from orlop.images.choice import is_note
from orlop.images.provider import embedded_data
from orlop.images.walk import MAX_DEPTH
from orlop.mediatype import is_index, is_manifest, is_nondistributable
from orlop.spec.document import decode_document, require_document_type
from orlop.spec.index import Index
from orlop.transfer.select import select
from orlop.transfer.source import Holding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.digest import Digest
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.manifest import Manifest
    from orlop.transfer.source import ImageSource

MAX_PLAN_SIZE: Final = 256 << 20
"""Most bytes of all manifests and indexes of an image that is copied."""

_MAX_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be copied of an image.

    Attributes:
        target: What is to be named.
        documents: Its manifests and indexes with their bytes, children before parents.
        blobs: Configs, layers and whatever else they name, each digest and size once.
        notes: What differs from the image as it was named, and why.
    """

    target: Descriptor
    documents: tuple[tuple[Descriptor, bytes], ...]
    blobs: tuple[Descriptor, ...]
    notes: tuple[str, ...] = ()


def make_plan(
    source: ImageSource,
    *,
    platform: Platform | None = None,
    all_platforms: bool = False,
) -> Plan:
    """Find out what is to be copied of an image, from its documents alone.

    Args:
        source: Where the image is.
        platform: Copy the one manifest for this platform; all of the image where None.
        all_platforms: Refuse to leave anything out that an index lists.

    Raises:
        NotFoundError: The source lacks something that cannot be left out, or has no image for the
            platform.
        InvalidDocumentError: A document is broken.
        VerificationError: A document is not what its descriptor says.
        LimitExceededError: Indexes lie too deep, or documents are too large together.
        UnsupportedError: A document is neither manifest nor index.
    """
    target = source.resolve()
    chosen = target
    if platform is not None:
        chosen = select(source, platform, platform).manifest_descriptor
    require_document_type(chosen.media_type)
    survey = _Survey(source, all_platforms=all_platforms)
    survey.visit(chosen)
    plan = survey.plan(chosen)
    return replace(plan, notes=(*plan.notes, *_note_on_platform(target, chosen)))


def note_on_left_out(layer: Descriptor) -> str:
    """What to say of a layer that may not be distributed, and is not there."""
    return f"layer {layer.digest} may not be distributed, and is left out: it is not there"


class _Survey:
    """Goes through the documents below a descriptor, each once, however many lead to it."""

    def __init__(self, source: ImageSource, *, all_platforms: bool) -> None:
        self._source = source
        self._all_platforms = all_platforms
        self._left = MAX_PLAN_SIZE
        self._seen: set[tuple[Digest, str, int, bool]] = set()
        self._documents: dict[Digest, tuple[Descriptor, bytes]] = {}
        self._blobs: dict[tuple[Digest, int], Descriptor] = {}
        self._images: dict[Digest, Plan] = {}
        self._missing: dict[Digest, str] = {}
        self._notes: dict[str, None] = {}

    def visit(self, descriptor: Descriptor, depth: int = 1, *, note: bool = False) -> None:
        """Find what is there of a manifest or an index.

        Args:
            descriptor: Of the document.
            depth: How many indexes it lies in, with itself.
            note: Whether it only tells something about an image.

        Raises:
            NotFoundError: Too little is there.
        """
        key = (descriptor.digest, descriptor.media_type, descriptor.size, note)
        if key in self._seen:
            return
        self._seen.add(key)
        if depth > MAX_DEPTH:
            raise LimitExceededError(
                f"{descriptor.digest} lies too deep in indexes", limit="MAX_DEPTH", value=MAX_DEPTH
            )
        raw = self._read(descriptor)
        document = decode_document(raw, descriptor.media_type)
        if isinstance(document, Index):
            self._visit_children(descriptor, document, depth, note=note)
            self._documents[descriptor.digest] = (descriptor, raw)
        else:
            self._add_manifest(self._plan_of(descriptor, raw, document), note=note)

    def plan(self, top: Descriptor) -> Plan:
        """All that was found; the image itself where it is the only one of an index that is whole.

        Raises:
            NotFoundError: There is none.
        """
        plan = Plan(
            target=top,
            documents=tuple(self._documents.values()),
            blobs=tuple(self._blobs.values()),
            notes=tuple(self._notes),
        )
        return _reduce(plan, self._images, list(self._missing.values())) if self._missing else plan

    def _visit_children(self, top: Descriptor, index: Index, depth: int, *, note: bool) -> None:
        for child in index.manifests:
            try:
                if is_manifest(child.media_type) or is_index(child.media_type):
                    self.visit(child, depth + 1, note=note or is_note(child))
                elif self._holds(child):
                    self._blobs[child.digest, child.size] = child
                else:
                    raise NotFoundError(f"{child.digest} is not there")
            except NotFoundError as error:
                if self._all_platforms:
                    raise error.inside(f"{_shown(child)} of {top.digest}") from None
                self._missing.setdefault(child.digest, _shown(child))

    def _plan_of(self, descriptor: Descriptor, raw: bytes, manifest: Manifest) -> Plan:
        """The plan of one image."""
        blobs: dict[tuple[Digest, int], Descriptor] = {}
        notes = []
        for part in (manifest.config, *manifest.layers):
            if self._holds(part):
                blobs[part.digest, part.size] = part
            elif is_nondistributable(part.media_type):
                notes.append(note_on_left_out(part))
            else:
                raise NotFoundError(f"{descriptor.digest} lacks {part.digest} ({part.media_type})")
        documents = ((descriptor, raw),)
        return Plan(
            target=descriptor, documents=documents, blobs=tuple(blobs.values()), notes=tuple(notes)
        )

    def _add_manifest(self, plan: Plan, *, note: bool) -> None:
        self._documents[plan.target.digest] = plan.documents[0]
        self._blobs |= {(blob.digest, blob.size): blob for blob in plan.blobs}
        self._notes |= dict.fromkeys(plan.notes)
        if not note:
            self._images[plan.target.digest] = plan

    def _holds(self, descriptor: Descriptor) -> bool:
        if embedded_data(descriptor) is not None or not isinstance(self._source, Holding):
            return True
        return self._source.holds(descriptor)

    def _read(self, descriptor: Descriptor) -> bytes:
        self._left -= descriptor.size
        if self._left < 0:
            raise LimitExceededError(
                f"the documents below {self._source.resolve().digest} are too large",
                limit="MAX_PLAN_SIZE",
                value=MAX_PLAN_SIZE,
            )
        return self._source.read(descriptor)


def _reduce(plan: Plan, images: Mapping[Digest, Plan], missing: list[str]) -> Plan:
    """The image itself where the place holds one of an index, and nothing else of it is whole.

    Raises:
        NotFoundError: It holds none.
    """
    top, lost = plan.target.digest, _some(missing)
    if not images:
        raise NotFoundError(
            f"nothing that {top} lists is there: {lost}",
            hint="pull the image again, with --all-platforms for all of it",
        )
    if len(images) > 1:
        return replace(
            plan, notes=(*plan.notes, f"{top} is kept, without what is not there: {lost}")
        )
    (image,) = images.values()
    alone = (
        f"only {_shown(image.target)} of index {top} is there: it is copied alone, so "
        f"that the digest is {image.target.digest}"
    )
    return replace(image, notes=(*image.notes, alone))


def _note_on_platform(target: Descriptor, chosen: Descriptor) -> list[str]:
    if chosen.digest == target.digest:
        return []
    return [
        f"of index {target.digest} one manifest is copied, so that the digest is {chosen.digest}"
    ]


def _shown(child: Descriptor) -> str:
    return str(child.platform or child.artifact_type or child.digest)


def _some(texts: list[str]) -> str:
    more = len(texts) - _MAX_SHOWN
    return ", ".join(texts[:_MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
