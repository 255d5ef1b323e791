"""An image to be: an image of a store and a list of edits, as a value."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orlop.editing.bench import Bench, State
from orlop.editing.edits import kept_layers
from orlop.editing.naming import ANY, meaning_of, name_image
from orlop.editing.snapshot import find_snapshot
from orlop.editing.values import check_moment
from orlop.errors import UnsupportedError
from orlop.mediatype import is_index
from orlop.storage.places import writing_to
from orlop.store.editable import Editable
from orlop.store.image import Image
from orlop.store.naming import name_of
from orlop.timestamp import format_timestamp

if TYPE_CHECKING:
    from orlop.compression import CompressionName
    from orlop.editing.edits import Edit
    from orlop.editing.snapshot import Snapshot
    from orlop.spec.config import ImageConfig
    from orlop.spec.manifest import Manifest
    from orlop.storage.storage import Storage

_SECOND = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDraft(Editable):
    """An image of a store, and edits of it; a value, of which each edit makes another one.

        draft = image.edit().append("rootfs/").with_config(cmd=["/bin/app"], env={"LANG": "C"})
        draft.save("app:1")

    Nothing is named until `save`. A path that is appended is read when the draft is worked out.
    All times come from the moment of the draft: the same edits of the same image at the same
    moment give the same digests.

    Attributes:
        storage: The store.
        base: What it began as.
        edits: What is done to that, in order.
        moment_ns: What the documents say that it was made at, in nanoseconds since 1970.
        clamped: Whether files of directories that are younger get that time, too.
    """

    storage: Storage
    base: Snapshot
    edits: tuple[Edit, ...] = ()
    moment_ns: int
    clamped: bool = False

    @classmethod
    def of(cls, storage: Storage, base: Snapshot, *, timestamp: int | None = None) -> ImageDraft:
        """A draft without edits.

        Args:
            storage: The store.
            base: What it begins as.
            timestamp: As for `at`; now where None.
        """
        draft = cls(storage=storage, base=base, moment_ns=time.time_ns())
        return draft if timestamp is None else draft.at(timestamp)

    def at(self, timestamp: int) -> ImageDraft:
        """The same draft, made at another moment, so that it gives the same digests at any time.

        Args:
            timestamp: Seconds since 1970, as SOURCE_DATE_EPOCH has them. Files of directories that
                are younger get this time.

        Raises:
            InvalidError: It lies beyond the year 9999.
        """
        check_moment("timestamp", timestamp)
        return replace(self, moment_ns=timestamp * _SECOND, clamped=True)

    @property
    def manifest(self) -> Manifest:
        """The manifest that `save` would give it with gzip; see `documents`."""
        return self.documents()[0]

    @property
    def config(self) -> ImageConfig:
        """The config that `save` would give it; see `documents`."""
        return self.documents()[1]

    def documents(
        self, *, compress: CompressionName = "gzip", oci: bool = False
    ) -> tuple[Manifest, ImageConfig]:
        """Manifest and config as `save` would make them.

        New layers are made for it, and are garbage afterwards.

        Args:
            compress: As for `save`.
            oci: As for `save`.

        Raises:
            OrlopError: As `save`.
            OSError: Something could not be read or written.
        """
        with self._bench() as bench:
            return bench.finish(self._state(bench), compress, oci=oci)

    def save(
        self, name: str, *, compress: CompressionName = "gzip", oci: bool = False,
        force: bool = False,
    ) -> Image:  # fmt: skip
        """Make the image, and give it a name; success means that it is whole and durable.

        Layers of other images are used as they are. A name that is taken moves here, unless
        somebody has moved it meanwhile: one that the draft began as, since then; any other, since
        this has begun.

        Args:
            name: A reference; `latest` is its tag if it has none.
            compress: How new layers are stored, and pushed: `gzip`, `zstd` or `none`.
            oci: Turn Docker's media types into OCI's; they are kept otherwise.
            force: Move the name whatever it means by now, be it an index.

        Raises:
            InvalidReferenceError: The name is no reference, or has a digest.
            UnsupportedError: The name stands for an index, which the draft began as.
            ConflictError: Somebody has moved the name meanwhile; nothing was named.
            NotFoundError: A layer is gone; nothing was named.
            OrlopError: An edit cannot be done to this image; nothing was named.
            OSError: Something could not be read or written; nothing was named.
        """
        wanted = name_of(name)
        expected = meaning_of(self.storage, wanted)
        if wanted == self.base.name:
            expected = self.base.target.digest
            self._require_one(force=force)
        with self._bench() as bench, writing_to(self.storage.places.root):
            bench.claim(self.base)
            manifest, config = bench.finish(self._state(bench), compress, oci=oci)
            bench.store(manifest, config)
            row = name_image(
                self.storage, bench.lease, manifest, config, wanted, ANY if force else expected
            )
        return Image(self.storage, row)

    def _require_one(self, *, force: bool) -> None:
        """Succeed unless the base's name stands for more images, which it would stand for no more.

        Raises:
            UnsupportedError: It does, and that is not forced.
        """
        if is_index(self.base.target.media_type) and not force:
            raise UnsupportedError(
                f"{self.base.name} is an index of several images, and would be one alone",
                hint="choose another name; `orlop index add` puts the image into an index",
            )

    def _draft(self) -> ImageDraft:
        return self

    def add(self, edit: Edit) -> ImageDraft:
        """The same draft with one more edit."""
        return replace(self, edits=(*self.edits, edit))

    def find(self, meant: str | Image) -> Snapshot:
        """Another image, of the same platform.

        Raises:
            NotFoundError: There is none, or none for the platform.
        """
        platform = self.base.config.platform
        if isinstance(meant, Image):
            return meant.snapshot(platform)
        return find_snapshot(self.storage, meant, platform)

    def _bench(self) -> Bench:
        return Bench(
            self.storage,
            f"edit {self.base.name}",
            moment=format_timestamp(self.moment_ns),
            latest_ns=self.moment_ns if self.clamped else None,
        )

    def _state(self, bench: Bench) -> State:
        base = self.base
        state = State(manifest=base.manifest, config=base.config, layers=kept_layers(base))
        for edit in self.edits:
            state = edit.apply(bench, state)
        return state
