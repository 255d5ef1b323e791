"""What stored images and containers are, as their users see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.digest import Digest
    from orlop.idmap import IdMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image: a top layer, if any, and what belongs to it. One that was pulled is such, too.

    Attributes:
        id: Its name: the digits of the config's digest where it has a manifest, else 64 random
            hexadecimal digits, or what its maker chose.
        names: What else it is called.
        names_history: What it has been called, the last name first.
        layer: The ID of its top layer, if it has one.
        digest: The digest that it goes by: its target's, or what its maker said.
        digests: All digests that it is found by: of its target, its manifest, and of each item of
            big data whose name begins with `manifest`.
        metadata: What its user notes about it.
        flags: What programs note about it.
        created_at_ns: When it was made or pulled, in nanoseconds since 1970.
        pulled: Whether it has a manifest, and goes with its last name.
        additional: Whether it lies in an additional store, where nothing is changed.
    """

    id: str
    names: tuple[str, ...] = ()
    names_history: tuple[str, ...] = ()
    layer: str | None = None
    digest: Digest | None = None
    digests: tuple[Digest, ...] = ()
    metadata: str = ""
    flags: Mapping[str, object]
    created_at_ns: int
    pulled: bool = False
    additional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container: a layer of its own to write to, and what belongs to it.

    Attributes:
        id: Its name: 64 random hexadecimal digits, or what its maker chose.
        names: What else it is called.
        image: The ID of the image that it was made from; empty where it was made from a layer.
        layer: The ID of its own layer.
        metadata: What its user notes about it.
        flags: What programs note about it.
        id_mapping: The IDs that it is seen through.
        created_at_ns: When it was made, in nanoseconds since 1970.
    """

    id: str
    names: tuple[str, ...] = ()
    image: str = ""
    layer: str
    metadata: str = ""
    flags: Mapping[str, object]
    id_mapping: IdMapping | None = None
    created_at_ns: int
