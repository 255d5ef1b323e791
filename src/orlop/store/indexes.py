"""An index to be: images for several platforms under one name, as a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orlop.editing.index import annotated, with_entries, without
from orlop.editing.naming import meaning_of, name_index
from orlop.editing.values import check_notes
from orlop.errors import NotFoundError, UnsupportedError
from orlop.mediatype import is_index
from orlop.metadata import Images, Lease
from orlop.metadata.content import LeasedContent
from orlop.platform import Platform
from orlop.spec.index import Index
from orlop.storage.lookup import find_image
from orlop.storage.places import writing_to
from orlop.store.image import Image
from orlop.store.naming import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orlop.digest import Digest
    from orlop.spec.descriptor import Descriptor
    from orlop.storage.storage import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDraft:
    """An index, and what is done to it; a value, of which each edit makes another one.

        store.edit_index("app:1").add("app:arm64").annotate({"team": "sea"}).save()

    An index lists manifests: of an image that comes out of another index, its own manifest is
    listed, and never that index.

    Attributes:
        storage: The store.
        index: As it is now.
        name: What it began as; empty for a new one.
        meant: What that name stood for.
    """

    storage: Storage
    index: Index
    name: str = ""
    meant: Digest | None = None

    @classmethod
    def of(cls, storage: Storage, name_or_id: str) -> IndexDraft:
        """A draft that begins as an index of the store.

        Raises:
            NotFoundError: There is none of this name.
            UnsupportedError: It is one image, and no index.
        """
        with storage.database.read() as tx:
            row = find_image(tx, name_or_id)[0]
        image = Image(storage, row)
        if not is_index(image.target.media_type):
            raise UnsupportedError(
                f"{row.name} is one image, and no index",
                hint="make an index of several by `orlop index create`",
            )
        index = Index.decode(image.read_target(), image.target.media_type)
        return cls(storage=storage, index=index, name=row.name, meant=row.target_digest)

    def add(
        self,
        *images: str | Image,
        platform: str | Platform | None = None,
        all_platforms: bool = False,
        annotations: Mapping[str, str] | None = None,
    ) -> IndexDraft:
        """The index with more images; each takes the place of the one for its platform.

        Args:
            images: Images of the store.
            platform: Which image of several, where one of these is an index.
            all_platforms: List all that an index lists, as it does.
            annotations: Of each of the entries.

        Raises:
            NotFoundError: There is no such image, or not all that is to be listed is stored.
            InvalidError: Two of them are for the same platform, or an annotation is none.
            OrlopError: A document is broken.
        """
        wanted = Platform.parse(platform) if isinstance(platform, str) else platform
        notes = check_notes("annotations", annotations or {})
        entries: list[Descriptor] = []
        for each in images:
            found = self._entries(each, wanted, all_platforms=all_platforms)
            entries += [replace(one, annotations={**one.annotations, **notes}) for one in found]
        return replace(self, index=with_entries(self.index, entries))

    def remove(self, *meant: str | Platform) -> IndexDraft:
        """The index without some entries, and without what only tells about those.

        Args:
            meant: Platforms, or digests of entries.

        Raises:
            NotFoundError: The index has no such entry.
            InvalidPlatformError: A text is neither.
        """
        return replace(self, index=without(self.index, map(str, meant)))

    def annotate(
        self,
        annotations: Mapping[str, str] | None = None,
        *,
        remove: Iterable[str] = (),
        platform: str | Platform | None = None,
    ) -> IndexDraft:
        """The index with other annotations.

        Args:
            annotations: More of them, or other values.
            remove: Keys of those that are taken away.
            platform: The platform or digest of the entry that gets them; the index where None.

        Raises:
            NotFoundError: The index has no such entry.
            InvalidError: An annotation is none.
            UnsupportedError: It is Docker's list, which has no annotations.
        """
        notes = check_notes("annotations", annotations or {})
        meant = None if platform is None else str(platform)
        return replace(self, index=annotated(self.index, notes, remove, meant))

    def save(self, name: str | None = None, *, force: bool = False) -> Image:
        """Store the index, and give it a name; success means that it is whole and durable.

        A name that is taken moves here, as for `ImageDraft.save`.

        Args:
            name: A reference; the name that the draft began as where None.
            force: Move the name whatever it means by now.

        Raises:
            InvalidReferenceError: The name is no reference, or has a digest.
            ConflictError: Somebody has moved the name meanwhile; nothing was named.
            NotFoundError: An entry is not stored; nothing was named.
            InvalidDocumentError, LimitExceededError: It is no index that others would read.
            OSError: It could not be written; nothing was named.
            ValueError: It is a new one, and no name is given.
        """
        if name is None and not self.name:
            raise ValueError("a new index needs a name")
        wanted = self.name if name is None else name_of(name)
        expected = self.meant if wanted == self.name else meaning_of(self.storage, wanted)
        raw = self.index.raw
        Index.decode(raw, self.index.media_type)
        with (
            Lease(self.storage.database, f"index {wanted}") as lease,
            writing_to(self.storage.places.root),
        ):
            content = LeasedContent(self.storage.content, self.storage.database, lease)
            for entry in self.index.manifests:
                if content.claim(entry.digest) is None and entry.data is None:
                    raise _missing(entry)
            content.put(
                raw,
                media_type=self.index.media_type,
                children=[entry.digest for entry in self.index.manifests],
            )
            name_index(
                self.storage, lease, self.index.descriptor(), wanted, "any" if force else expected
            )
            with self.storage.database.read() as tx:
                row = Images(tx).get(wanted)
        assert row is not None
        return Image(self.storage, row)

    def _entries(
        self, meant: str | Image, platform: Platform | None, *, all_platforms: bool
    ) -> list[Descriptor]:
        if isinstance(meant, str):
            with self.storage.database.read() as tx:
                meant = Image(self.storage, find_image(tx, meant)[0])
        if all_platforms and is_index(meant.target.media_type):
            index = Index.decode(meant.read_target(), meant.target.media_type)
            for entry in index.manifests:
                if self.storage.content.stat(entry.digest) is None:
                    raise _missing(entry)
            return list(index.manifests)
        found = meant.snapshot(platform)
        return [replace(found.descriptor, platform=found.config.platform)]


def _missing(entry: Descriptor) -> NotFoundError:
    what = "an entry" if entry.platform is None else f"the image for {entry.platform}"
    return NotFoundError(
        f"{what} ({entry.digest}) is not stored", hint="pull it, or all with --all-platforms"
    )
