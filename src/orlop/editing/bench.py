"""Where drafts become documents: layers taken in, merged and compressed, under one lease.

Nothing is named here. What is made belongs to the lease, and is garbage when that ends, unless an
image has got it.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final, Self

from orlop.errors import NotFoundError
from orlop.mediatype import (
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    is_docker,
    oci_twin,
)
from orlop.metadata import Lease
from orlop.metadata.content import LeasedContent
from orlop.spec.config import ImageConfig
from orlop.spec.manifest import Manifest
from orlop.storage.chains import Stack
from orlop.storage.layers.contents import Contents
from orlop.storage.layers.members import iter_members
from orlop.storage.layers.tarball import (
    compress_blob,
    has_foreign_links,
    take_entries,
    take_stream,
)
from orlop.storage.stored.assemble import described
from orlop.transfer import Pull, PullOptions, Reporter
from orlop.tree import Merger, difference, directory, lookup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from orlop.compression import CompressionName
    from orlop.digest import Digest
    from orlop.editing.snapshot import Snapshot
    from orlop.editing.sources import DirectorySource, TarSource
    from orlop.spec.descriptor import Descriptor
    from orlop.storage.layers.tarball import Taken
    from orlop.storage.storage import Storage
    from orlop.tree import Node

_DOCKER_TYPES: Final = {
    OCI_LAYER: DOCKER_LAYER,
    OCI_LAYER_GZIP: DOCKER_LAYER_GZIP,
    OCI_LAYER_ZSTD: DOCKER_LAYER_ZSTD,
}


@dataclass(frozen=True, slots=True)
class EditedLayer:
    """A layer of a draft.

    Attributes:
        diff_id: What it holds.
        blob: What it came in, where it is one of an image; None for a new one.
        taken: A new one, as it was taken in.
    """

    diff_id: Digest
    blob: Descriptor | None = None
    taken: Taken | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """An image half-way through its edits.

    Attributes:
        manifest: That of the image that it began as, with the annotations as they are now.
        config: As it is now; its `diff_ids` follow when all is done.
        layers: As they are now, the base first.
    """

    manifest: Manifest
    config: ImageConfig
    layers: tuple[EditedLayer, ...]


class Bench:
    """Where a draft is worked out; a context manager, after which its lease ends.

    Args:
        storage: The store.
        purpose: What the lease is for.
        moment: What steps say of when they were, as RFC 3339 writes it.
        latest_ns: What later times of files become, in nanoseconds since 1970; None for no end.
    """

    def __init__(
        self, storage: Storage, purpose: str, *, moment: str, latest_ns: int | None
    ) -> None:
        self.storage = storage
        self.moment = moment
        self.latest_ns = latest_ns
        self._purpose = purpose
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    @cached_property
    def lease(self) -> Lease:
        """What keeps everything; begun when it is first asked for."""
        return self._stack.enter_context(Lease(self.storage.database, self._purpose))

    @cached_property
    def content(self) -> LeasedContent:
        """The blobs, kept by the lease."""
        return LeasedContent(self.storage.content, self.storage.database, self.lease)

    def claim(self, image: Snapshot) -> None:
        """Keep all of an image until the bench is left.

        Raises:
            NotFoundError: Something of it is gone.
        """
        self.lease.hold_all(
            [
                *(("blob", digest) for digest in image.blobs),
                *(("form", diff_id) for diff_id in image.config.diff_ids),
            ]
        )
        for digest in image.blobs:
            if self.content.claim(digest) is None:
                raise NotFoundError(
                    f"content {digest} of {image.name} is not stored any more",
                    hint="pull the image again",
                )

    def take_tar(self, source: TarSource) -> Taken:
        """Take a tar in.

        Raises:
            OrlopError: It is no tar, or one that is hostile or too large.
            OSError: It could not be read or written.
        """
        with source.open() as stream:
            return take_stream(self.storage, stream, self.lease)

    def take_directory(self, source: DirectorySource, below: Sequence[EditedLayer]) -> Taken:
        """Take a directory in.

        Raises:
            UnsupportedError: A name begins with `.wh.`.
            OSError: It could not be read or written.
        """
        with source.open(lambda: self.tree(below), self.latest_ns) as (members, open_file):
            return take_entries(self.storage, members, open_file, self.lease)

    def require_fit(self, below: Sequence[EditedLayer], layer: EditedLayer) -> None:
        """Succeed if a layer can stand on these: its hard links may lead into them.

        Raises:
            InvalidLayerError: It cannot.
        """
        self.require_forms([layer])
        changeset = self.storage.forms.changeset(layer.diff_id)
        if layer.taken is None or has_foreign_links(layer.taken.changeset):
            merger = Merger(self.tree(below))
            merger.apply(changeset.removals(), changeset.additions())

    def merge(self, below: Sequence[EditedLayer], layers: Sequence[EditedLayer]) -> Taken:
        """Make one layer of several: what turns that below them into what they are together.

        Raises:
            OrlopError: A layer is lost, or they do not fit on each other.
            OSError: Something could not be read or written.
        """
        old, new = self.tree(below), self.tree([*below, *layers])
        with Contents(self.storage) as contents:
            entries = difference(old, new, contents.same)
            members = iter_members(entries, partial(lookup, old, follow_last=False))
            return take_entries(self.storage, members, contents.open, self.lease)

    def tree(self, layers: Sequence[EditedLayer]) -> Node:
        """The tree that layers make, its files in their tars.

        Raises:
            NotFoundError: A layer is lost.
            InvalidLayerError: They do not fit on each other.
        """
        if not layers:
            return directory()
        self.require_forms(layers)
        return self.storage.chains.tree(Stack.of([each.diff_id for each in layers]))

    def require_forms(self, layers: Sequence[EditedLayer]) -> None:
        """Unpack what is not unpacked, verified.

        Raises:
            NotFoundError: A blob is lost.
            VerificationError: A blob, or what is in it, is not what it should be.
        """
        kept = [each for each in layers if each.blob is not None]
        missing = [each for each in kept if self.storage.forms.usable(each.diff_id, "tar") is None]
        if not missing and self.storage.database.read_only:
            return
        self.lease.hold_all([("form", each.diff_id) for each in kept])
        if missing:
            pull = Pull(self.storage, None, self.lease, PullOptions(driver="erofs"), Reporter(None))
            blobs = tuple(each.blob for each in missing if each.blob is not None)
            pull.obtain_layers(blobs, tuple(each.diff_id for each in missing))

    def finish(
        self, state: State, compression: CompressionName, *, oci: bool
    ) -> tuple[Manifest, ImageConfig]:
        """The documents of what a draft has become, new layers compressed; nothing is stored.

        Raises:
            InvalidDocumentError: A document is none that others would read.
            LimitExceededError: A document is too long, or has too many layers.
            OSError: A layer could not be written.
        """
        manifest, config = state.manifest, state.config
        docker = is_docker(manifest.media_type) and not oci
        blobs = [self._blob(each, compression, docker=docker, oci=oci) for each in state.layers]
        diff_ids = tuple(each.diff_id for each in state.layers)
        if diff_ids != config.diff_ids:
            config = replace(config, diff_ids=diff_ids)
        if tuple(blobs) != manifest.layers:
            manifest = replace(manifest, layers=tuple(blobs))
        if oci and is_docker(manifest.media_type):
            manifest = replace(manifest, media_type=OCI_MANIFEST)
        media_type = OCI_CONFIG if oci else manifest.config.media_type
        target = described(manifest.config, config.raw, media_type)
        if target != manifest.config:
            manifest = replace(manifest, config=target)
        # Read as everybody will read them, so that nothing is named which nobody can use.
        ImageConfig.decode(config.raw, media_type)
        Manifest.decode(manifest.raw, manifest.media_type)
        return manifest, config

    def store(self, manifest: Manifest, config: ImageConfig) -> None:
        """Store the documents of an image, kept by the lease with the blobs that they name.

        Raises:
            NotFoundError: A blob is gone.
            OSError: They could not be written.
        """
        self.content.put(config.raw, media_type=manifest.config.media_type)
        for layer in manifest.layers:
            if self.content.claim(layer.digest) is None:
                raise NotFoundError(
                    f"layer {layer.digest} is not stored any more", hint="pull the image again"
                )
        self.content.put(
            manifest.raw,
            media_type=manifest.media_type,
            children=[manifest.config.digest, *(layer.digest for layer in manifest.layers)],
        )

    def _blob(
        self, layer: EditedLayer, compression: CompressionName, *, docker: bool, oci: bool
    ) -> Descriptor:
        if layer.blob is not None:
            return _as_oci(layer.blob) if oci else layer.blob
        assert layer.taken is not None
        blob = compress_blob(self.storage, layer.taken, self.lease, compression)
        return replace(blob, media_type=_DOCKER_TYPES[blob.media_type]) if docker else blob


def _as_oci(blob: Descriptor) -> Descriptor:
    """A layer under the OCI type that means the same as one of Docker's."""
    if blob.media_type == DOCKER_LAYER_ZSTD:
        return replace(blob, media_type=OCI_LAYER_ZSTD)
    return replace(blob, media_type=oci_twin(blob.media_type))
