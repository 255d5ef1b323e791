"""Image records as the database keeps them: whole descriptors, and what follows from documents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from orlop.digest import Digest, empty_digest
from orlop.errors import InvalidError, LimitExceededError, OrlopError
from orlop.filters import check_labels
from orlop.images.choice import choose, read_config
from orlop.images.record import ImageRecord
from orlop.metadata import ImageRow
from orlop.spec.config import chain_id
from orlop.spec.descriptor import Descriptor
from orlop.spec.json import decode_json, encode_json

if TYPE_CHECKING:
    from orlop.images.choice import Choice
    from orlop.images.provider import Provider
    from orlop.platform import Platform

MAX_IMAGE_NAME_SIZE: Final = 4096
MAX_TARGET_SIZE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an image's documents say, for the columns that it is found and listed by.

    Attributes:
        manifest_digest: The manifest of the image, where it is there.
        image_id: Digest of the config; of the target where that is not known.
        diff_ids: The layers' diffIDs, the base first; None where the config is not there.
        platform: What it runs on; empty where unknown.
        size: Bytes of its documents and layers; of the target where they are not known.
    """

    manifest_digest: Digest | None = None
    image_id: Digest
    diff_ids: tuple[Digest, ...] | None = None
    platform: str = ""
    size: int

    @property
    def chain_id(self) -> Digest | None:
        """What identifies the stack of layers; None where they are not known."""
        return None if self.diff_ids is None else chain_id(self.diff_ids) or empty_digest()


def gather(provider: Provider, target: Descriptor, platform: Platform | None) -> Facts:
    """What is known of an image; a name may stand for content that is not there, or no image."""
    try:
        choice = choose(provider, target, platform)
    except OrlopError:
        return Facts(image_id=target.digest, size=target.size)
    if not choice.manifest.is_image:
        return Facts(
            manifest_digest=choice.descriptor.digest, image_id=target.digest, size=_size(choice)
        )
    return _gather_image(provider, choice)


def make_row(record: ImageRecord, facts: Facts, *, now_ns: int) -> ImageRow:
    """The row of a record that is new.

    Raises:
        InvalidError: The name, the target or a label cannot be kept.
        LimitExceededError: One of them is too long.
    """
    check_name(record.name)
    return ImageRow(
        name=record.name,
        target=encode_target(record.target),
        target_digest=record.target.digest,
        manifest_digest=facts.manifest_digest,
        image_id=facts.image_id,
        chain_id=facts.chain_id,
        platform=facts.platform,
        size=facts.size,
        created_at_ns=now_ns,
        updated_at_ns=now_ns,
        labels=check_labels(record.labels),
    )


def change_row(row: ImageRow, record: ImageRecord, facts: Facts | None, *, now_ns: int) -> ImageRow:
    """The row of a record that has changed.

    Args:
        row: The row as it is.
        record: What is to be kept of the image; its times are not looked at.
        facts: What is known of its target; None where that is what the row says.
        now_ns: When it was changed, in nanoseconds since 1970.

    Raises:
        InvalidError: The target or a label cannot be kept.
        LimitExceededError: One of them is too long.
    """
    row = replace(
        row,
        target=encode_target(record.target),
        target_digest=record.target.digest,
        updated_at_ns=now_ns,
        labels=check_labels(record.labels),
    )
    if facts is None:
        return row
    return replace(
        row,
        manifest_digest=facts.manifest_digest,
        image_id=facts.image_id,
        chain_id=facts.chain_id,
        platform=facts.platform,
        size=facts.size,
    )


def read_row(row: ImageRow) -> ImageRecord:
    """The record that a row keeps."""
    return ImageRecord(
        name=row.name,
        target=decode_target(row),
        labels=row.labels,
        created_at_ns=row.created_at_ns,
        updated_at_ns=row.updated_at_ns,
    )


def decode_target(row: ImageRow) -> Descriptor:
    """The target of an image.

    Raises:
        InvalidDocumentError: What the database has is none.
    """
    where = f"target of {row.name!r}"
    return Descriptor.decode(decode_json(row.target.encode(), what=where), where)


def encode_target(target: Descriptor) -> str:
    """The target as it is kept: as JSON, with fields that are unknown here.

    Raises:
        InvalidError: It has no media type or no size, or would be read as another.
        LimitExceededError: It is too long.
    """
    if target.size <= 0:
        raise InvalidError(f"is {target.size}, and must be above 0", where="target.size")
    Descriptor.decode(target.encode(), "target")
    raw = encode_json(target.encode())
    if len(raw) > MAX_TARGET_SIZE:
        raise LimitExceededError(
            f"the descriptor of {target.digest} has {len(raw)} bytes",
            limit="MAX_TARGET_SIZE",
            value=MAX_TARGET_SIZE,
        )
    return raw.decode()


def check_name(name: str) -> None:
    """Succeed if an image may have this name.

    Raises:
        InvalidError: It is empty, or holds what the database cannot keep.
        LimitExceededError: It is too long.
    """
    if not name or "\0" in name:
        raise InvalidError("an image's name " + ("holds a NUL" if name else "is empty"))
    size = len(name.encode(errors="surrogatepass"))
    if size > MAX_IMAGE_NAME_SIZE:
        raise LimitExceededError(
            f"image name {name[:50]!r}… has {size} bytes",
            limit="MAX_IMAGE_NAME_SIZE",
            value=MAX_IMAGE_NAME_SIZE,
        )


def _gather_image(provider: Provider, choice: Choice) -> Facts:
    try:
        config = read_config(provider, choice.manifest.config)
    except OrlopError:
        config = None
    said = choice.descriptor.platform if config is None else config.platform
    return Facts(
        manifest_digest=choice.descriptor.digest,
        image_id=choice.manifest.config.digest,
        diff_ids=None if config is None else config.diff_ids,
        platform="" if said is None else str(said),
        size=_size(choice),
    )


def _size(choice: Choice) -> int:
    manifest = choice.manifest
    parts = (*choice.documents, manifest.config, *manifest.layers)
    return sum({part.digest: part.size for part in parts}.values())
