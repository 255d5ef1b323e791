"""Image configs: what an image is made of, how it came to be, and how to run it.

Spec: image-spec v1.1, config.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from orlop.digest import Digest, chain_ids
from orlop.errors import InvalidDocumentError, UnsupportedError
from orlop.mediatype import OCI_CONFIG, is_config
from orlop.spec.container import ContainerConfig
from orlop.spec.descriptor import Descriptor
from orlop.spec.history import History, check_time
from orlop.spec.json import decode_json, encode_json, join
from orlop.spec.members import Members, as_digest
from orlop.spec.platform import decode_platform, encode_platform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.platform import Platform
    from orlop.spec.manifest import Manifest

MAX_HISTORY: Final = 4096
ROOTFS_TYPE: Final = "layers"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """What an image is made of, and how to run it; the digest of its bytes is the image's ID.

    To edit one, replace its fields: `dataclasses.replace(config, author=…)`. What comes of that
    has new bytes; what was decoded keeps the bytes it was read from.

    Attributes:
        platform: What the image runs on.
        diff_ids: The digests of the uncompressed layers, the base first.
        created: When, as RFC 3339 writes it.
        author: Who.
        config: How to run it.
        history: How it was built; entries that are not `empty_layer` are layers.
        extra: Fields that are unknown here, kept for whoever knows them.
        rootfs_extra: The same of the `rootfs` object.
    """

    platform: Platform
    diff_ids: tuple[Digest, ...] = ()
    created: str | None = None
    author: str | None = None
    config: ContainerConfig | None = None
    history: tuple[History, ...] = ()
    extra: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)
    rootfs_extra: Mapping[str, object] = field(default_factory=dict, hash=False, repr=False)
    _raw: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def decode(cls, raw: bytes, media_type: str = OCI_CONFIG) -> Self:
        """Read the config of a container image.

        Args:
            raw: The whole document.
            media_type: What its descriptor says it is.

        Raises:
            InvalidDocumentError: It is no image config.
            LimitExceededError: It is too long, too deep or lists too much.
            UnsupportedError: The media type is that of something else, which must not be parsed.

        Spec: image-spec v1.1, config.md, "Properties"; manifest.md, "config".
        """
        if not is_config(media_type):
            raise UnsupportedError(f"a config of type {media_type!r} is opaque here")
        members = Members(decode_json(raw, what="image config"), "$")
        rootfs = members.members("rootfs")
        container = members.optional_members("config")
        found = cls(
            platform=decode_platform(members, alone=False),
            diff_ids=_decode_diff_ids(rootfs),
            created=check_time(members, "created"),
            author=members.optional_string("author"),
            config=None if container is None else ContainerConfig.decode(container),
            history=_decode_history(members),
            extra=members.unknown(),
            rootfs_extra=rootfs.unknown(),
        )
        object.__setattr__(found, "_raw", raw)
        return found

    @property
    def raw(self) -> bytes:
        """The document's bytes: those it was read from, else `encode()`."""
        return self.encode() if self._raw is None else self._raw

    @property
    def image_id(self) -> Digest:
        """The digest of the document's bytes.

        Spec: image-spec v1.1, config.md, "ImageID".
        """
        return Digest.of(self.raw)

    @property
    def chain_ids(self) -> tuple[Digest, ...]:
        """What identifies the stack up to each layer, the base first."""
        return chain_ids(self.diff_ids)

    def encode(self) -> bytes:
        """The document as compact JSON, made from the fields, unknown ones at the end."""
        found: dict[str, object] = {}
        if self.created is not None:
            found["created"] = self.created
        if self.author is not None:
            found["author"] = self.author
        found.update(encode_platform(self.platform))
        if self.config is not None:
            found["config"] = self.config.encode()
        diff_ids = [str(diff_id) for diff_id in self.diff_ids]
        found["rootfs"] = {"type": ROOTFS_TYPE, "diff_ids": diff_ids, **self.rootfs_extra}
        if self.history:
            found["history"] = [entry.encode() for entry in self.history]
        found.update(self.extra)
        return encode_json(found)

    def descriptor(self, media_type: str = OCI_CONFIG) -> Descriptor:
        """The descriptor of these bytes."""
        return Descriptor.of(media_type, self.raw)


def check_layers(manifest: Manifest, config: ImageConfig) -> None:
    """Return where the manifest has a layer for each of the config's diffIDs.

    Raises:
        InvalidDocumentError: It has more, or fewer.
    """
    layers, diff_ids = len(manifest.layers), len(config.diff_ids)
    if layers != diff_ids:
        raise InvalidDocumentError(
            f"has {diff_ids} diffIDs for the {layers} layers of its manifest",
            where="$.rootfs.diff_ids",
        )


def _decode_diff_ids(rootfs: Members) -> tuple[Digest, ...]:
    kind = rootfs.string("type")
    if kind != ROOTFS_TYPE:
        raise rootfs.invalid("type", f"is {kind[:100]!r}, and must be {ROOTFS_TYPE!r}")
    from orlop.spec.manifest import MAX_LAYERS

    values = rootfs.array("diff_ids", limit="MAX_LAYERS", most=MAX_LAYERS)
    where = join(rootfs.where, "diff_ids")
    return tuple(as_digest(value, f"{where}[{at}]") for at, value in enumerate(values))


def _decode_history(members: Members) -> tuple[History, ...]:
    values = members.array("history", limit="MAX_HISTORY", most=MAX_HISTORY)
    where = join(members.where, "history")
    return tuple(
        History.decode(Members(value, f"{where}[{at}]")) for at, value in enumerate(values)
    )
