"""What belongs to an image, and how much of it its place holds.

An image is copied as it is: with every manifest, config and layer below its target. A place may
hold less than an index lists, as a store does that has pulled one platform of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError, NotFoundError
from orlop.images.provider import embedded_data
from orlop.mediatype import is_index, is_manifest, is_nondistributable
from orlop.spec.document import decode_document, require_document_type
from orlop.spec.index import Index
from orlop.transfer.select import MAX_INDEX_DEPTH, is_note, select
from orlop.transfer.source import Holding

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.manifest import Manifest
    from orlop.transfer.source import ImageSource

MAX_PLAN_SIZE: Final = 256 << 20
"""Most bytes of all manifests and indexes of what is copied at once."""

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
    branch = _Survey(source, all_platforms=all_platforms).visit(chosen, 0)
    branch.notes += _note_on_platform(target, chosen)
    return _reduce(branch).plan()


def note_on_left_out(layer: Descriptor) -> str:
    """What to say of a layer that may not be distributed, and is not there."""
    return f"layer {layer.digest} may not be distributed, and is left out: it is not there"


@dataclass(slots=True, kw_only=True)
class _Branch:
    """What was found below one descriptor."""

    top: Descriptor
    documents: dict[Digest, tuple[Descriptor, bytes]] = field(default_factory=dict)
    blobs: dict[tuple[Digest, int], Descriptor] = field(default_factory=dict)
    images: dict[Digest, _Branch] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, child: _Branch) -> None:
        self.documents |= child.documents
        self.blobs |= child.blobs
        self.images |= child.images
        self.missing += child.missing
        self.notes += child.notes

    def plan(self) -> Plan:
        return Plan(
            target=self.top,
            documents=tuple(self.documents.values()),
            blobs=tuple(self.blobs.values()),
            notes=tuple(dict.fromkeys(self.notes)),
        )


class _Survey:
    """Goes through the documents below a descriptor, each once."""

    def __init__(self, source: ImageSource, *, all_platforms: bool) -> None:
        self._source = source
        self._all_platforms = all_platforms
        self._seen: dict[tuple[Digest, str, int], _Branch] = {}
        self._left = MAX_PLAN_SIZE

    def visit(self, descriptor: Descriptor, depth: int) -> _Branch:
        """What is there of a manifest or an index.

        Raises:
            NotFoundError: Too little is there.
        """
        key = (descriptor.digest, descriptor.media_type, descriptor.size)
        if key not in self._seen:
            self._seen[key] = self._visit(descriptor, depth)
        return replace(self._seen[key], top=descriptor)

    def _visit(self, descriptor: Descriptor, depth: int) -> _Branch:
        if depth > MAX_INDEX_DEPTH:
            raise LimitExceededError(
                f"{descriptor.digest} lies too deep in indexes",
                limit="MAX_INDEX_DEPTH",
                value=MAX_INDEX_DEPTH,
            )
        raw = self._read(descriptor)
        document = decode_document(raw, descriptor.media_type)
        branch = _Branch(top=descriptor)
        if isinstance(document, Index):
            self._visit_children(branch, document, depth)
        else:
            self._visit_parts(branch, document)
            branch.images[descriptor.digest] = branch
        branch.documents[descriptor.digest] = (descriptor, raw)
        return branch

    def _visit_children(self, branch: _Branch, index: Index, depth: int) -> None:
        for child in index.manifests:
            if not is_manifest(child.media_type) and not is_index(child.media_type):
                self._add_blob(branch, child)
                continue
            try:
                found = self.visit(child, depth + 1)
            except NotFoundError as error:
                if self._all_platforms:
                    raise error.inside(f"{_shown(child)} of {branch.top.digest}") from None
                branch.missing.append(_shown(child))
                continue
            branch.add(replace(found, images={}) if is_note(child) else found)

    def _visit_parts(self, branch: _Branch, manifest: Manifest) -> None:
        for part in (manifest.config, *manifest.layers):
            if self._holds(part):
                branch.blobs[part.digest, part.size] = part
            elif is_nondistributable(part.media_type):
                branch.notes.append(note_on_left_out(part))
            else:
                raise NotFoundError(f"{branch.top.digest} lacks {part.digest} ({part.media_type})")

    def _add_blob(self, branch: _Branch, part: Descriptor) -> None:
        if self._holds(part):
            branch.blobs[part.digest, part.size] = part
        elif self._all_platforms:
            raise NotFoundError(f"{branch.top.digest} lacks {_shown(part)}")
        else:
            branch.missing.append(_shown(part))

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


def _reduce(branch: _Branch) -> _Branch:
    """The image itself where the place holds one of an index, and nothing else of it is whole.

    Raises:
        NotFoundError: It holds none.
    """
    if not branch.missing:
        return branch
    missing = _some(branch.missing)
    if not branch.images:
        raise NotFoundError(
            f"nothing that {branch.top.digest} lists is there: {missing}",
            hint="pull the image again, with --all-platforms for all of it",
        )
    if len(branch.images) > 1:
        branch.notes.append(f"{branch.top.digest} is kept, without what is not there: {missing}")
        return branch
    (image,) = branch.images.values()
    image.notes.append(
        f"only {_shown(image.top)} of index {branch.top.digest} is there: it is copied alone, so "
        f"that the digest is {image.top.digest}"
    )
    return image


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
