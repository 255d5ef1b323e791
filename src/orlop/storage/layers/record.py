"""What a layer is, as its users see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orlop.digest import Digest
    from orlop.idmap import IdMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: a tree, kept as the changes to that of its parent.

    Attributes:
        id: Its name: the digits of its chainID where it came with an image, else 64 random
            hexadecimal digits, or what its maker chose.
        names: What else it is called.
        parent: The ID of the layer that it stands on, if any.
        diff_id: The digest of the tar that it was made of, if it was.
        diff_size: The length of that tar in bytes, where known.
        chain_id: The stack of tars up to this layer, where there is nothing else below.
        compressed_digest: The digest of what that tar came in, where known.
        compressed_size: Its length in bytes.
        compression: How that was compressed: `none`, `gzip`, `zstd`, `bzip2`, `xz`; empty where
            unknown.
        form: What its directory is, if it has or may get one: `diff`, `user-diff` (overlay's form,
            marked by `trusted.` or `user.` attributes) or `tree` (all its files).
        read_only: Whether its maker said that it is never written to.
        pulled: Whether it came with an image, and goes when nothing needs it.
        metadata: What its user notes about it.
        flags: What programs note about it.
        mount_label: The SELinux label that its maker gave.
        id_mapping: The IDs that it is seen through.
        created_at_ns: When it was made, in nanoseconds since 1970; 0 where unknown.
        additional: Whether it lies in an additional store, where nothing is changed.
    """

    id: str
    names: tuple[str, ...] = ()
    parent: str | None = None
    diff_id: Digest | None = None
    diff_size: int | None = None
    chain_id: Digest | None = None
    compressed_digest: Digest | None = None
    compressed_size: int | None = None
    compression: str = ""
    form: Literal["diff", "user-diff", "tree"] | None = None
    read_only: bool = False
    pulled: bool = False
    metadata: str = ""
    flags: Mapping[str, object]
    mount_label: str = ""
    id_mapping: IdMapping | None = None
    created_at_ns: int
    additional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who still needs a layer.

    Attributes:
        layers: The layers that stand on it, by ID.
        images: The images whose top it is.
        containers: The container whose own it is.
        mounts: Where it is mounted.
    """

    layers: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.layers or self.images or self.containers or self.mounts)

    def __iter__(self) -> Iterator[str]:
        """Each of them in words."""
        yield from (f"layer {each}" for each in self.layers)
        yield from (f"image {each}" for each in self.images)
        yield from (f"container {each}" for each in self.containers)
        yield from (f"mount {each}" for each in self.mounts)
