"""What the specification says of content: blobs, and what descriptors and configs say of them.

Spec: image-spec v1.1, image-layout.md, "Blobs"; descriptor.md; config.md; manifest.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.compression import Compression
from orlop.digest import fits_grammar
from orlop.layout.driver.path import BLOBS
from orlop.layout.validation.descriptors import as_digest
from orlop.layout.validation.layers import compression_of
from orlop.layout.validation.members import size
from orlop.layout.validation.rule import Rule, shown
from orlop.spec.manifest import MAX_LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.digest import Digest
    from orlop.layout.validation.layers import Layer
    from orlop.layout.validation.members import Object
    from orlop.layout.validation.rule import Finding

_BLOBS: Final = 'image-layout.md, "Blobs"'
_PROPERTIES: Final = 'descriptor.md, "Properties"'
_MANIFEST: Final = 'manifest.md, "Image Manifest Property Descriptions"'
_CONFIG: Final = 'config.md, "Properties"'
_DIFF_ID: Final = 'config.md, "Layer DiffID"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file below `blobs`, read to its end.

    Attributes:
        path: Where it is.
        digest: What its name promises; None where that is no digest.
        size: Its length in bytes.
        actual: The digest of its content; None where it cannot be computed or read.
        unreadable: Why it cannot be read, or nothing.
    """

    path: str
    digest: Digest | None
    size: int = 0
    actual: Digest | None = None
    unreadable: str = ""


def _is_blob_path(blob: Blob) -> Iterator[Finding]:
    _, _, name = blob.path.partition("/")
    algorithm, slash, encoded = name.partition("/")
    if not fits_grammar(f"{algorithm}:x"):
        yield "", f"{shown(algorithm)} cannot be an algorithm"
    elif slash and not fits_grammar(f"x:{encoded}"):
        yield "", f"{shown(encoded)} cannot be the encoded part of a digest"


def _is_what_it_is_called(blob: Blob) -> Iterator[Finding]:
    _, _, name = blob.path.partition("/")
    if blob.unreadable:
        yield "", blob.unreadable
    elif "/" in name and blob.digest is None and not list(_is_blob_path(blob)):
        yield "", "no content has such a digest"
    elif blob.actual is not None and blob.actual != blob.digest:
        yield "", f"the content has the digest {blob.actual}"


def _is_in_a_directory(blob: Blob) -> Iterator[Finding]:
    if "/" not in blob.path.removeprefix(f"{BLOBS}/"):
        yield "", "is a file where a directory for an algorithm is expected"


def _can_be_verified(blob: Blob) -> Iterator[Finding]:
    if blob.digest is not None and not blob.digest.computable:
        yield "", f"digests of {blob.digest.algorithm} cannot be computed here"


BLOB: Final[tuple[Rule[Blob], ...]] = (
    Rule(_BLOBS, "a blob's path fits the grammar of digests", _is_blob_path),
    Rule(_BLOBS, "a blob's content matches its digest", _is_what_it_is_called),
    Rule(_BLOBS, "a blob lies in the directory of an algorithm", _is_in_a_directory, "note"),
    Rule(
        'descriptor.md, "Registered algorithms"',
        "a blob's digest can be verified",
        _can_be_verified,
        "note",
    ),
)
"""What holds for every file below `blobs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A descriptor beside the content that it describes.

    Attributes:
        descriptor: The JSON object.
        size: Of the blob in bytes; None where the layout has none.
        layer: What a look into the blob has found, where it is a layer.
    """

    descriptor: Object
    size: int | None
    layer: Layer | None = None


def _is_present(target: Target) -> Iterator[Finding]:
    if target.size is None:
        yield "", f"the layout does not have {target.descriptor.get('digest')}"


def _has_the_size(target: Target) -> Iterator[Finding]:
    said = target.descriptor.get("size")
    if target.size is not None and said is not None and not size(said) and said != target.size:
        yield ".size", f"is {said}, and the content has {target.size} bytes"


def _compressed_as(wanted: Compression) -> Callable[[Target], Iterator[Finding]]:
    def check(target: Target) -> Iterator[Finding]:
        media_type = str(target.descriptor.get("mediaType"))
        if target.layer is None or compression_of(media_type) is not wanted:
            return
        found = target.layer.compression
        if found is not wanted:
            what = "unknown" if found is None else found.value or "none"
            yield ".mediaType", f"is {media_type}, and the layer's compression is {what}"

    return check


TARGET: Final[tuple[Rule[Target], ...]] = (
    Rule(_PROPERTIES, "size is the length of the content", _has_the_size),
    Rule(
        'layer.md, "Distributable Format"',
        "a layer of tar is not compressed",
        _compressed_as(Compression.NONE),
    ),
    Rule(
        'layer.md, "+gzip Media Types"',
        "a layer of +gzip is compressed with gzip",
        _compressed_as(Compression.GZIP),
    ),
    Rule(
        'layer.md, "+zstd Media Types"',
        "a layer of +zstd is compressed with zstd",
        _compressed_as(Compression.ZSTD),
    ),
    Rule(_BLOBS, "what is referenced is there, or elsewhere", _is_present, "note"),
)
"""What holds for a descriptor and its content together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a config says of the layers, which is little beside the config.

    Attributes:
        diff_ids: As they are written; None where there is no list of them, or one too long.
        steps: How many steps of the history made a layer; None where there is no history.
    """

    diff_ids: tuple[object, ...] | None
    steps: int | None

    @classmethod
    def of(cls, config: Object) -> Build:
        """What this config says."""
        rootfs, history = config.get("rootfs"), config.get("history")
        said = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        steps = history if isinstance(history, list) else []
        made = sum(not isinstance(step, dict) or not step.get("empty_layer") for step in steps)
        diff_ids = tuple(said) if isinstance(said, list) and len(said) <= MAX_LAYERS else None
        return cls(diff_ids=diff_ids, steps=made if steps else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What an image's config says beside the layers of its manifest.

    Attributes:
        build: What the config says.
        layers: How many the manifest lists.
        diff_ids: The digest of each uncompressed layer, by position; None where it is not known.
    """

    build: Build
    layers: int
    diff_ids: tuple[Digest | None, ...]


def _has_each_layer(stack: Stack) -> Iterator[Finding]:
    said = stack.build.diff_ids
    if said is not None and stack.layers != len(said):
        yield ".rootfs.diff_ids", f"has {len(said)} diffIDs for {stack.layers} layers"


def _is_permuted(stack: Stack) -> bool:
    said, actual = list(map(str, stack.build.diff_ids or ())), list(map(str, stack.diff_ids))
    return said != actual and sorted(said) == sorted(actual)


def _is_in_order(stack: Stack) -> Iterator[Finding]:
    if _is_permuted(stack):
        yield ".rootfs.diff_ids", "has the diffIDs of the layers in another order"


def _is_of_the_layers(stack: Stack) -> Iterator[Finding]:
    if _is_permuted(stack):
        return
    pairs = zip(stack.build.diff_ids or (), stack.diff_ids, strict=False)
    for at, (value, actual) in enumerate(pairs):
        said = as_digest(value)
        if said is not None and actual is not None and said != actual:
            where = f".rootfs.diff_ids[{at}]"
            yield where, f"is {said}, and the uncompressed layer is {actual}"


def _has_history(stack: Stack) -> Iterator[Finding]:
    steps = stack.build.steps
    if steps is not None and steps != stack.layers:
        yield ".history", f"has {steps} steps with a layer, and there are {stack.layers}"


STACK: Final[tuple[Rule[Stack], ...]] = (
    Rule(_CONFIG, "rootfs.diff_ids has one for each layer", _has_each_layer),
    Rule(_DIFF_ID, "each diffID is of the uncompressed layer", _is_of_the_layers),
    Rule(_MANIFEST, "layers are in the order of the stack", _is_in_order),
    Rule(_CONFIG, "history has a step for each layer", _has_history, "note"),
)
"""What holds for an image's config and layers together."""
