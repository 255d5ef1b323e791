"""What is known of images that were made into disks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from orlop.digest import Digest
from orlop.disks.oci import OCIConfig
from orlop.disks.options import FILESYSTEMS
from orlop.errors import InvalidDigestError, LayerFSError, MetadataError
from orlop.timestamp import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.disks.options import Filesystem
    from orlop.fsimage.verity import DmVerity

Source: TypeAlias = Literal["registry", "import", "tag"]
"""Where an image came from: a registry, or another place that is pulled from; a tarball; or
disks that were there and got one more tag."""
_SOURCES: Final[tuple[Source, ...]] = ("registry", "import", "tag")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRef:
    """A disk.

    Attributes:
        digest: What identifies it in a store: it follows from the layers on it and the options.
        fs_type: Its filesystem.
        size: Its bytes.
        path: Where it is; for `Store.save`, where it is taken from.
        diff_ids: The layers that it shows, base first; none where that is not known.
    """

    digest: Digest
    fs_type: Filesystem = "erofs"
    size: int = 0
    path: Path | None = None
    diff_ids: tuple[Digest, ...] = ()

    def hash_tree(self) -> DmVerity | None:
        """The dm-verity hash tree behind the filesystem, with its root hash; None without one.

        Raises:
            InvalidImageError: There is one, and it contradicts itself.
            OSError: The disk cannot be read.
        """
        from orlop.disks.hash_tree import find_hash_tree

        return None if self.path is None else find_hash_tree(self.path)

    def encode(self) -> dict[str, object]:
        """The fields as JSON has them; the path is the store's affair."""
        return {
            "digest": self.digest,
            "fs_type": self.fs_type,
            "size": self.size,
            "diff_ids": list(self.diff_ids),
        }

    @classmethod
    def decode(cls, found: object) -> Self:
        """What `encode` gave.

        Raises:
            MetadataError: It is something else.
            LayerFSError: The filesystem is not known.
        """
        try:
            members = _members(found, "digest", "fs_type", "size", "diff_ids")
            if members["fs_type"] not in FILESYSTEMS:
                raise LayerFSError(
                    f"a disk has the unknown filesystem {str(members['fs_type'])[:40]!r}"
                )
            return cls(
                digest=Digest(members["digest"]),
                fs_type=members["fs_type"],
                size=_amount(members["size"]),
                diff_ids=tuple(map(Digest, members["diff_ids"])),
            )
        except (KeyError, TypeError, InvalidDigestError):
            raise MetadataError("the record of a disk is broken") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMeta:
    """What is noted about an image that was made into disks.

    Attributes:
        tag: What it is called.
        digest: The digest of its manifest; empty where that is not known.
        size: Bytes that its disks occupy.
        created_at: When they were made.
        source: Where the image came from.
        oci: How it is to be run, where that is known.
        runtime_rootfs_path: The disk that shows all of it and is to be preferred, where there is
            one; it is not part of what `encode` gives.
    """

    tag: str = ""
    digest: str = ""
    size: int = 0
    created_at: datetime = _EPOCH
    source: Source = "registry"
    oci: OCIConfig | None = None
    runtime_rootfs_path: Path | None = None

    def encode(self) -> dict[str, object]:
        """The fields as JSON has them."""
        found: dict[str, object] = {"tag": self.tag}
        if self.digest:
            found["digest"] = self.digest
        found |= {
            "size": self.size,
            "created_at": format_timestamp(_microseconds(self.created_at) * 1000),
            "source": self.source,
        }
        if self.oci is not None:
            found["oci"] = self.oci.encode()
        return found

    @classmethod
    def decode(cls, found: object) -> Self:
        """What `encode` gave.

        Raises:
            MetadataError: It is something else.
        """
        try:
            members = {"digest": "", **_members(found, "tag", "size", "created_at", "source")}
            created = parse_timestamp(members["created_at"])
            texts = (members["tag"], members["digest"])
            if (
                created is None
                or members["source"] not in _SOURCES
                or not all(map(_is_text, texts))
            ):
                raise ValueError
            return cls(
                tag=members["tag"],
                digest=members["digest"],
                size=_amount(members["size"]),
                created_at=_EPOCH + timedelta(microseconds=created // 1000),
                source=members["source"],
                oci=OCIConfig.decode(members["oci"]) if "oci" in members else None,
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            raise MetadataError("the record of an image's disks is broken") from None


def _microseconds(moment: datetime) -> int:
    """Since 1970, exactly; what has no zone is in that of the machine."""
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def _members(found: object, *names: str) -> dict[str, Any]:
    """The members of an object that has these at least.

    Raises:
        KeyError: It lacks one.
        TypeError: It is no object.
    """
    if not isinstance(found, dict):
        raise TypeError
    for name in names:
        found[name]
    return found


def _amount(value: object) -> int:
    """A number of bytes.

    Raises:
        TypeError: It is none.
    """
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """An image as disks.

    Attributes:
        layers: What a machine attaches, base first: one disk that shows everything, where there is
            one, else the canonical ones.
        canonical_layers: One disk for each layer, or as few as the limit of disks allows; the same
            as `layers` where the image was asked for as one.
        digest: The digest of the image's manifest; empty where that is not known.
        cached: Whether all of it was there already.
        oci: How the image is to be run, where that is known.
        source: Where it came from.
    """

    layers: tuple[LayerRef, ...]
    canonical_layers: tuple[LayerRef, ...]
    digest: str = ""
    cached: bool = False
    oci: OCIConfig | None = None
    source: Source = "registry"

    @property
    def lower_paths(self) -> tuple[Path, ...]:
        """Where the disks are that a machine attaches, base first."""
        return tuple(each.path for each in self.layers if each.path is not None)

    @property
    def lower_fs_types(self) -> tuple[Filesystem, ...]:
        """The filesystems of these."""
        return tuple(each.fs_type for each in self.layers)

    @property
    def rootfs_path(self) -> Path:
        """The first of these."""
        return self.lower_paths[0]

    @property
    def layer_digests(self) -> tuple[Digest, ...]:
        """What identifies these."""
        return tuple(each.digest for each in self.layers)

    @property
    def size(self) -> int:
        """Bytes that these occupy on the disk, holes left out."""
        return sum(path.stat().st_blocks * 512 for path in dict.fromkeys(self.lower_paths))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """A line of the list of images that were made into disks.

    Attributes:
        tag: What it is called.
        rootfs_path: The first disk that a machine attaches.
        meta: What is noted about it.
    """

    tag: str
    rootfs_path: Path
    meta: ImageMeta
