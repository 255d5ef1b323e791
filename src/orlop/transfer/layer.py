"""One layer on its way in: fetched, verified, unpacked and recorded, each at most once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from orlop._sys.lock import FileLock
from orlop.errors import (
    InUseError,
    NeedsParentsError,
    NotFoundError,
    OrlopError,
    SizeMismatchError,
    VerificationError,
)
from orlop.transfer.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.digest import Digest
    from orlop.images import BlobStream
    from orlop.metadata import Lease
    from orlop.metadata.content import LeasedContent, LeasedIngest
    from orlop.parallel import Cancellation
    from orlop.spec.descriptor import Descriptor
    from orlop.storage.build import FormBuild, LayerLimits, NoBuild
    from orlop.storage.forms import FormKind, FormStore
    from orlop.storage.places import Places
    from orlop.transfer.progress import Reporter
    from orlop.transfer.source import ImageSource

CHUNK_SIZE: Final = 1 << 20
"""Stored bytes that are taken at a time."""

_LOCK_PAUSE: Final = 0.1


class LayerFetcher:
    """Brings layers into a store; safe to be used by several threads and processes.

    Args:
        source: Where the layers come from; None where only what is stored may be used.
        places: Where they go.
        content: The blobs, kept by the lease.
        forms: What is derived from layers.
        lease: What keeps everything until an image does.
        kind: The form that is wanted.
        cancellation: Asked at every step whether to go on.
        report: Told of every step.
        limits: What layers may grow to, and hold; the defaults where None.
    """

    def __init__(
        self,
        source: ImageSource | None,
        *,
        places: Places,
        content: LeasedContent,
        forms: FormStore,
        lease: Lease,
        kind: FormKind,
        cancellation: Cancellation,
        report: Reporter,
        limits: LayerLimits | None = None,
    ) -> None:
        self._source = source
        self._places = places
        self._content = content
        self._forms = forms
        self._lease = lease
        self._kind = kind
        self._cancellation = cancellation
        self._report = report
        self._limits = limits

    def obtain(self, descriptor: Descriptor, diff_id: Digest, *, lowest: bool) -> None:
        """Bring one layer in; success means that its blob and its form are here, and leased.

        What is here is not fetched, and what is unpacked not unpacked; a blob that turns out to be
        damaged is fetched again. While another thread or process brings the same layer in, this
        waits.

        Args:
            descriptor: The layer's blob.
            diff_id: What it must be when uncompressed.
            lowest: Whether it lies below all others.

        Raises:
            VerificationError: The blob or what is in it is not what was promised; nothing of it
                is named.
            NeedsParentsError: The layer cannot be a directory of its own; its blob is kept.
            InvalidLayerError: The layer is broken; nothing is kept.
            UnsafePathError: The layer is hostile; nothing is kept.
            LimitExceededError: The layer is larger than is allowed; nothing is kept.
            NotFoundError: The blob is not here, and there is nowhere to fetch it from.
            RegistryError: It could not be fetched; what came is kept for the next time.
            OSError: It could not be written; what came is kept for the next time.
            CancelledError: The work was stopped; what came is kept for the next time.
        """
        with self._lock(diff_id, descriptor):
            self._lease.hold("form", diff_id)
            stored = self._is_stored(descriptor)
            unpacked = self._is_unpacked(descriptor, diff_id, lowest=lowest, stored=stored)
            if unpacked and (stored or self._source is None):
                self._report(Stage.PRESENT, descriptor.digest, descriptor.size, descriptor.size)
                return
            if stored:
                with self._build(descriptor, diff_id, lowest=lowest, needed=True) as build:
                    stored = self._unpack(descriptor, build)
            if not stored:
                with self._build(descriptor, diff_id, lowest=lowest, needed=not unpacked) as build:
                    self._fetch(descriptor, build)
        self._report(Stage.DONE, descriptor.digest, descriptor.size, descriptor.size)

    @contextmanager
    def _lock(self, diff_id: Digest, descriptor: Descriptor) -> Iterator[None]:
        """Be the only one who works at this layer; Ctrl-C is not kept waiting."""
        lock = FileLock(self._places.lock(diff_id), timeout=0)
        while not lock.held:
            try:
                lock.acquire()
            except InUseError:
                self._report(Stage.WAIT, descriptor.digest, 0, descriptor.size)
                self._cancellation.sleep(_LOCK_PAUSE)
        try:
            yield
        finally:
            lock.release()

    def _is_stored(self, descriptor: Descriptor) -> bool:
        """Whether a blob is here, and leased; one of another length is read to learn who is wrong.

        Raises:
            SizeMismatchError: The blob is whole, and the descriptor's size is wrong.
        """
        info = self._content.claim(descriptor.digest)
        if info is None or info.size == descriptor.size:
            return info is not None
        try:
            with self._content.open(descriptor.digest) as blob:
                while blob.read(CHUNK_SIZE):
                    self._cancellation.check()
        except VerificationError:
            return False
        raise SizeMismatchError(
            f"size of layer {descriptor.digest} in the manifest",
            expected=info.size,
            actual=descriptor.size,
        )

    def _unpack(self, descriptor: Descriptor, build: FormBuild | NoBuild) -> bool:
        """Make the form of a blob that is here; whether the blob is what it should be."""
        done = 0
        try:
            with self._content.open(descriptor.digest, descriptor.size) as blob:
                while chunk := blob.read(CHUNK_SIZE):
                    self._cancellation.check()
                    build.feed(chunk)
                    done += len(chunk)
                    self._report(Stage.UNPACK, descriptor.digest, done, descriptor.size)
        except VerificationError:
            return False
        build.finish()
        build.publish()
        return True

    def _fetch(self, descriptor: Descriptor, build: FormBuild | NoBuild) -> None:
        """Fetch a blob, and make its form meanwhile."""
        if self._source is None:
            raise NotFoundError(
                f"layer {descriptor.digest} is not stored, or damaged", hint="pull the image again"
            )
        with self._content.ingest(
            descriptor.digest,
            digest=descriptor.digest,
            size=descriptor.size,
            media_type=descriptor.media_type,
        ) as ingest:
            for piece in ingest.pieces():
                self._cancellation.check()
                build.feed(piece)
            if ingest.offset < descriptor.size:
                with self._source.open(descriptor, ingest.offset) as stream:
                    self._copy(stream, ingest, descriptor, build)
            ingest.seal()
            try:
                build.finish()
            except NeedsParentsError:
                ingest.commit()
                raise
            except OrlopError:
                ingest.abort()
                raise
            ingest.commit()
        build.publish()

    def _copy(
        self,
        stream: BlobStream,
        ingest: LeasedIngest,
        descriptor: Descriptor,
        build: FormBuild | NoBuild,
    ) -> None:
        skip = ingest.offset - stream.offset
        while chunk := stream.read(CHUNK_SIZE):
            self._cancellation.check()
            if skip:
                chunk, skip = chunk[skip:], max(0, skip - len(chunk))
            ingest.write(chunk)
            build.feed(chunk)
            self._report(Stage.FETCH, descriptor.digest, ingest.offset, descriptor.size)

    def _is_unpacked(
        self, descriptor: Descriptor, diff_id: Digest, *, lowest: bool, stored: bool
    ) -> bool:
        if descriptor.digest == diff_id and not stored:
            return False  # The form may be a hard link to a damaged blob.
        if self._kind == "diff" and lowest:
            return self._forms.usable(diff_id, "diff", "base") is not None
        return self._forms.usable(diff_id, self._kind) is not None

    def _build(
        self, descriptor: Descriptor, diff_id: Digest, *, lowest: bool, needed: bool
    ) -> FormBuild | NoBuild:
        from orlop.storage.build import FormBuild, NoBuild

        if not needed:
            return NoBuild()
        return FormBuild(
            self._places,
            self._forms,
            self._lease,
            blob=descriptor.digest,
            diff_id=diff_id,
            kind=self._kind,
            lowest=lowest,
            limits=self._limits,
        )
