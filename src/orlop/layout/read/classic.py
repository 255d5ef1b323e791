"""A manifest for an image that was saved without one.

Its digest depends on the archive's content only: the config's bytes, the diffIDs, and the bytes of
layers that were saved compressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.compression import Compression, detect
from orlop.digest import digest_of, new_hash
from orlop.errors import InvalidArchiveError, NotFoundError
from orlop.mediatype import OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from orlop.spec.descriptor import Descriptor
from orlop.spec.manifest import Manifest

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.layout.files import Extent, Files
    from orlop.layout.place import Place
    from orlop.layout.read.saved import SavedImage

_MEDIA_TYPES: Final = {
    Compression.NONE: OCI_LAYER,
    Compression.GZIP: OCI_LAYER_GZIP,
    Compression.ZSTD: OCI_LAYER_ZSTD,
}
_HEAD_SIZE: Final = 512
_CHUNK_SIZE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeManifest:
    """A manifest that was made here, and where what it names lies.

    Attributes:
        target: Its descriptor.
        raw: Its bytes.
        members: The member that holds the content of each digest but its own.
    """

    target: Descriptor
    raw: bytes
    members: dict[Digest, str]


def make_manifest(place: Place, files: Files, image: SavedImage) -> MadeManifest:
    """Describe a saved image by an OCI manifest.

    A layer that is a plain tar has its diffID as digest, unread; a compressed one is hashed.

    Raises:
        InvalidArchiveError: Its config has not as many diffIDs as there are layers, or a layer is
            missing.
        UnsafePathError: A layer is a link out of the archive.
    """
    diff_ids = image.diff_ids
    if len(diff_ids) != len(image.layers):
        raise InvalidArchiveError(
            f"has {len(diff_ids)} diff_ids for {len(image.layers)} layers",
            where=f"{place.path}: member {image.config_member!r}",
        )
    config = Descriptor.of(OCI_CONFIG, image.config)
    pairs = zip(image.layers, diff_ids, strict=True)
    layers = tuple(_describe(place, files, name, diff_id) for name, diff_id in pairs)
    manifest = Manifest(config=config, layers=layers)
    members = {layer.digest: name for layer, name in zip(layers, image.layers, strict=True)}
    members[config.digest] = image.config_member
    return MadeManifest(target=manifest.descriptor(), raw=manifest.raw, members=members)


def _describe(place: Place, files: Files, name: str, diff_id: Digest) -> Descriptor:
    try:
        extent = files.open(name)
    except NotFoundError as error:
        raise InvalidArchiveError(
            "is listed and missing", where=f"{place.path}: member {name!r}"
        ) from error
    with extent:
        compression = detect(extent.read_at(0, _HEAD_SIZE))
        digest = diff_id if compression is Compression.NONE else _hash(extent)
        return Descriptor(media_type=_MEDIA_TYPES[compression], digest=digest, size=extent.size)


def _hash(extent: Extent) -> Digest:
    state = new_hash("sha256")
    offset = 0
    while piece := extent.read_at(offset, _CHUNK_SIZE):
        state.update(piece)
        offset += len(piece)
    return digest_of(state)
