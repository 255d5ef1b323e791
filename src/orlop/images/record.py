"""Images as named descriptors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orlop.images import choice, contents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.digest import Digest
    from orlop.images.contents import Completeness
    from orlop.images.provider import Inventory, Provider
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """A name, and the content that it stands for.

    The methods read documents from whatever has them: a content store, a layout, a registry. What
    a `platform` of None means is the same as in the functions that they call: the first image of
    an index where one is asked for, all of them where amounts are.

    Attributes:
        name: Any text that is not empty; one record has it.
        target: The top-level manifest or index, or any other content.
        labels: Notes by key, which can be changed without changing the content.
        created_at_ns: When the record was made, in nanoseconds since 1970; 0 before it is stored.
        updated_at_ns: When it was last changed.
    """

    name: str
    target: Descriptor
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    created_at_ns: int = 0
    updated_at_ns: int = 0

    def manifest(self, provider: Provider, platform: Platform | None = None) -> Manifest:
        """The manifest of the image that suits a platform best; see `choose`."""
        return choice.manifest(provider, self.target, platform)

    def config(self, provider: Provider, platform: Platform | None = None) -> Descriptor:
        """Where the config of that image is; see `choose`."""
        return choice.config(provider, self.target, platform)

    def rootfs(self, provider: Provider, platform: Platform | None = None) -> tuple[Digest, ...]:
        """The diffIDs of that image's layers, the base first; see `choose` and `rootfs`."""
        return choice.rootfs(provider, self.config(provider, platform))

    def platforms(self, provider: Provider) -> tuple[Platform, ...]:
        """What the images run on that the name stands for; see `platforms`."""
        return choice.platforms(provider, self.target)

    def size(self, provider: Provider, platform: Platform | None = None) -> int:
        """Bytes of all that it is made of, each blob counted once; see `size`."""
        return contents.size(provider, self.target, platform)

    def usage(self, provider: Inventory, platform: Platform | None = None) -> int:
        """Bytes that are stored of it; see `usage`."""
        return contents.usage(provider, self.target, platform)

    def check(self, provider: Inventory, platform: Platform | None = None) -> Completeness:
        """What of it is stored, and what is missing; see `check`."""
        return contents.check(provider, self.target, platform)
