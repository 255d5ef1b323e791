"""Media types of everything that images are made of, and what each is for.

Docker's schema 2 forms mean the same as their OCI twins, and are accepted wherever these are.

Spec: image-spec v1.1, media-types.md; RFC 6838, section 4.2.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from orlop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

OCI_DESCRIPTOR: Final = "application/vnd.oci.descriptor.v1+json"
OCI_LAYOUT: Final = "application/vnd.oci.layout.header.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_LAYER_NONDISTRIBUTABLE: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"
OCI_LAYER_NONDISTRIBUTABLE_GZIP: Final = (
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
)
OCI_LAYER_NONDISTRIBUTABLE_ZSTD: Final = (
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
)
OCI_LAYER_ENCRYPTED: Final = "application/vnd.oci.image.layer.v1.tar+encrypted"
OCI_LAYER_GZIP_ENCRYPTED: Final = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"
OCI_LAYER_ZSTD_ENCRYPTED: Final = "application/vnd.oci.image.layer.v1.tar+zstd+encrypted"
OCI_ARTIFACT_MANIFEST: Final = "application/vnd.oci.artifact.manifest.v1+json"
"""Withdrawn before image-spec 1.1; known only to be refused by its name."""

DOCKER_MANIFEST_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD: Final = "application/vnd.docker.image.rootfs.diff.tar.zstd"
DOCKER_LAYER_FOREIGN: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar"
DOCKER_LAYER_FOREIGN_GZIP: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
DOCKER_SCHEMA1: Final = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED: Final = "application/vnd.docker.distribution.manifest.v1+prettyjws"

CONTAINERD_CHECKPOINT: Final = "application/vnd.containerd.container.criu.checkpoint.criu.tar"
CONTAINERD_CHECKPOINT_PREDUMP: Final = (
    "application/vnd.containerd.container.criu.checkpoint.predump.tar"
)
CONTAINERD_RESOURCE: Final = "application/vnd.containerd.container.resource.tar"
CONTAINERD_RW: Final = "application/vnd.containerd.container.rw.tar"
CONTAINERD_CHECKPOINT_CONFIG: Final = (
    "application/vnd.containerd.container.checkpoint.config.v1+proto"
)
CONTAINERD_CHECKPOINT_OPTIONS: Final = (
    "application/vnd.containerd.container.checkpoint.options.v1+proto"
)
CONTAINERD_CHECKPOINT_RUNTIME: Final = (
    "application/vnd.containerd.container.checkpoint.runtime.name"
)
CONTAINERD_CHECKPOINT_RUNTIME_OPTIONS: Final = (
    "application/vnd.containerd.container.checkpoint.runtime.options+proto"
)

EROFS_LAYER: Final = "application/vnd.erofs.layer.v1"
EROFS_LAYER_ZSTD: Final = "application/vnd.erofs.layer.v1+zstd"
IN_TOTO: Final = "application/vnd.in-toto+json"

OCI_TWINS: Final[Mapping[str, str]] = MappingProxyType(
    {
        DOCKER_MANIFEST_LIST: OCI_INDEX,
        DOCKER_MANIFEST: OCI_MANIFEST,
        DOCKER_CONFIG: OCI_CONFIG,
        DOCKER_LAYER: OCI_LAYER,
        DOCKER_LAYER_GZIP: OCI_LAYER_GZIP,
        DOCKER_LAYER_ZSTD: OCI_LAYER_ZSTD,
        DOCKER_LAYER_FOREIGN: OCI_LAYER_NONDISTRIBUTABLE,
        DOCKER_LAYER_FOREIGN_GZIP: OCI_LAYER_NONDISTRIBUTABLE_GZIP,
    }
)
"""Each of Docker's schema 2 types with the OCI type that means the same."""

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_GRAMMAR: Final = re.compile(f"{_NAME}/{_NAME}", re.ASCII)
_MAX_LENGTH: Final = 255
_OCI_LAYER_PREFIX: Final = "application/vnd.oci.image.layer."
_NONDISTRIBUTABLE_PREFIXES: Final = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)
_DOCKER_PREFIX: Final = "application/vnd.docker."
_ENCRYPTED: Final = "+encrypted"
_COMPRESSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"": "", "+gzip": "gzip", "+zstd": "zstd"}
)
_DOCKER_COMPRESSIONS: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        DOCKER_LAYER: None,
        DOCKER_LAYER_FOREIGN: None,
        DOCKER_LAYER_GZIP: "gzip",
        DOCKER_LAYER_FOREIGN_GZIP: "gzip",
        DOCKER_LAYER_ZSTD: "zstd",
    }
)
_OTHER_LAYERS: Final = frozenset(
    {
        DOCKER_LAYER,
        DOCKER_LAYER_GZIP,
        DOCKER_LAYER_ZSTD,
        DOCKER_LAYER_FOREIGN,
        DOCKER_LAYER_FOREIGN_GZIP,
        EROFS_LAYER,
        EROFS_LAYER_ZSTD,
    }
)
_CHECKPOINTS: Final = frozenset(
    {
        CONTAINERD_CHECKPOINT,
        CONTAINERD_CHECKPOINT_PREDUMP,
        CONTAINERD_RESOURCE,
        CONTAINERD_RW,
        CONTAINERD_CHECKPOINT_CONFIG,
        CONTAINERD_CHECKPOINT_OPTIONS,
        CONTAINERD_CHECKPOINT_RUNTIME,
        CONTAINERD_CHECKPOINT_RUNTIME_OPTIONS,
    }
)


def valid(media_type: str) -> bool:
    """Whether the text is a type and a subtype of registrable form, without parameters.

    Spec: RFC 6838, section 4.2.
    """
    return len(media_type) <= _MAX_LENGTH and _is_valid(media_type)


@lru_cache(maxsize=256)
def _is_valid(media_type: str) -> bool:
    return _GRAMMAR.fullmatch(media_type) is not None


def is_manifest(media_type: str) -> bool:
    """Whether this is the manifest of one image, OCI's or Docker's schema 2."""
    return media_type in {OCI_MANIFEST, DOCKER_MANIFEST}


def is_index(media_type: str) -> bool:
    """Whether this is an image index or Docker's manifest list."""
    return media_type in {OCI_INDEX, DOCKER_MANIFEST_LIST}


def is_config(media_type: str) -> bool:
    """Whether this is the config of a container image, which alone may be parsed as one."""
    return media_type in {OCI_CONFIG, DOCKER_CONFIG}


def is_layer(media_type: str) -> bool:
    """Whether this is a layer: tar of any compression, encrypted or not, or EROFS."""
    plain = media_type.removesuffix(_ENCRYPTED)
    return plain.startswith(_OCI_LAYER_PREFIX) or plain in _OTHER_LAYERS


def layer_compression(media_type: str) -> str | None:
    """How a layer of this type is compressed, once it is decrypted.

    Returns:
        `gzip`, `zstd`, or nothing where it is not compressed. None where only its bytes tell:
        Docker's type for plain tar has been put on compressed layers, too.

    Raises:
        UnsupportedError: It is no layer, or one of a compression that is unknown here.

    Spec: image-spec v1.1, layer.md, "`+gzip` Media Types" and "`+zstd` Media Types"; RFC 6839,
    section 3: of several suffixes the last one says what the content is as it lies there.
    """
    if not is_layer(media_type):
        raise UnsupportedError(f"{media_type[:100]!r} is no type of a layer")
    plain = media_type.removesuffix(_ENCRYPTED)
    if plain in _DOCKER_COMPRESSIONS:
        return _DOCKER_COMPRESSIONS[plain]
    _, plus, suffix = plain.partition("+")
    compression = _COMPRESSIONS.get(plus + suffix)
    if compression is None:
        raise UnsupportedError(
            f"layers of type {media_type[:100]!r} are compressed in an unknown way"
        )
    return compression


def is_nondistributable(media_type: str) -> bool:
    """Whether this is a layer that is fetched from its `urls` and not pushed.

    Spec: image-spec v1.1, layer.md, "Non-Distributable Layers".
    """
    return media_type.startswith(_NONDISTRIBUTABLE_PREFIXES)


def is_encrypted(media_type: str) -> bool:
    """Whether this is content that must be decrypted first."""
    return media_type.endswith(_ENCRYPTED)


def is_schema1(media_type: str) -> bool:
    """Whether this is Docker's schema 1, signed or not, which nobody serves any more."""
    return media_type in {DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED}


def is_checkpoint(media_type: str) -> bool:
    """Whether this is a part of a container that containerd has checkpointed."""
    return media_type in _CHECKPOINTS


def is_attestation(media_type: str) -> bool:
    """Whether this is an in-toto statement about an image."""
    return media_type == IN_TOTO


def is_docker(media_type: str) -> bool:
    """Whether this is one of Docker's own types."""
    return media_type.startswith(_DOCKER_PREFIX)


def oci_twin(media_type: str) -> str:
    """The OCI type that means the same as one of Docker's; every other type as it is."""
    return OCI_TWINS.get(media_type, media_type)
