"""Image records as the database keeps them: whole descriptors, and columns to find them by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError, LimitExceededError
from orlop.filters import check_labels
from orlop.images.record import ImageRecord
from orlop.metadata import ImageRow
from orlop.spec.descriptor import Descriptor
from orlop.spec.json import decode_json, encode_json

if TYPE_CHECKING:
    from orlop.images.facts import Facts

MAX_IMAGE_NAME_SIZE: Final = 4096
MAX_TARGET_SIZE: Final = 1024 * 1024


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
