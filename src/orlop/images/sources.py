"""What the layers of an image came in, for the records of the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import UnsupportedError
from orlop.mediatype import layer_compression
from orlop.metadata.layers import LayerSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.spec.descriptor import Descriptor


def layer_sources(layers: Iterable[Descriptor]) -> tuple[LayerSource, ...]:
    """What a manifest says of the blobs of its layers; of a compression that it lies about too."""
    return tuple(
        LayerSource(digest=layer.digest, size=layer.size, compression=_compression(layer))
        for layer in layers
    )


def _compression(layer: Descriptor) -> str:
    try:
        found = layer_compression(layer.media_type)
    except UnsupportedError:
        return ""
    return "" if found is None else found or "none"
