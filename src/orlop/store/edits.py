"""What a store makes of several of its images: differences and indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orlop.editing.compare import ImageDiff
    from orlop.storage.storage import Storage
    from orlop.store.image import Image
    from orlop.store.indexes import IndexDraft


class ImageEdits:
    """The methods of a store that are about several images at once."""

    @property
    def storage(self) -> Storage:
        """What the store is made of."""
        raise NotImplementedError

    def image(self, name_or_id: str) -> Image:
        """The image that a name, an ID or a prefix of an ID means."""
        raise NotImplementedError

    def diff(self, old: str, new: str, *, platform: str | Platform | None = None) -> ImageDiff:
        """What one image has otherwise than another, whatever layers they are made of.

            for change in store.diff("app:1", "app:2").changes():
                print(change.kind, change.path)

        Args:
            old: The image before; as for `image`.
            new: The image after.
            platform: Which image of several; the one that was pulled where None.

        Raises:
            NotFoundError: There is no such image, or none for the platform.
            AmbiguousError: A prefix fits several images.
            OrlopError: A document is broken.
        """
        from orlop.editing.compare import ImageDiff

        wanted = Platform.parse(platform) if isinstance(platform, str) else platform
        before, after = (self.image(each).snapshot(wanted) for each in (old, new))
        return ImageDiff(self.storage, before, after)

    def make_index(
        self,
        name: str,
        images: Sequence[str | Image] = (),
        *,
        annotations: Mapping[str, str] | None = None,
        all_platforms: bool = False,
    ) -> Image:
        """Make an index of images for several platforms; success means that it is durable.

            store.make_index("app:1", ["app:amd64", "app:arm64"])

        Args:
            name: What it is called; a name that is taken moves here.
            images: The images, one for each platform.
            annotations: Of the index.
            all_platforms: Where one of these is an index, list all that it lists.

        Raises:
            OrlopError: As `IndexDraft.add` and `IndexDraft.save`; nothing was named.
            OSError: It could not be written; nothing was named.
        """
        from orlop.spec.index import Index
        from orlop.store.indexes import IndexDraft

        draft = IndexDraft(storage=self.storage, index=Index(manifests=()))
        draft = draft.add(*images, all_platforms=all_platforms).annotate(annotations)
        return draft.save(name)

    def edit_index(self, name_or_id: str) -> IndexDraft:
        """A draft that begins as an index of the store.

        Raises:
            NotFoundError: There is none of this name.
            UnsupportedError: It is one image, and no index.
        """
        from orlop.store.indexes import IndexDraft

        return IndexDraft.of(self.storage, name_or_id)
