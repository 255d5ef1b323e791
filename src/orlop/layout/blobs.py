"""The blobs of an image layout, by digest: read and verified, written and named when whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orlop.content.protocol import MAX_READ_SIZE
from orlop.content.verify import VerifyingReader
from orlop.digest import new_hash
from orlop.errors import LimitExceededError, NotFoundError, SizeMismatchError
from orlop.layout.driver.access import size_of
from orlop.layout.driver.path import blob_path
from orlop.mediatype import valid
from orlop.spec.descriptor import Descriptor

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.layout.driver.protocol import BlobWriter, Data, ImageDriver


def stat_blob(driver: ImageDriver, digest: Digest) -> int | None:
    """The length of a blob in bytes, or None where the layout does not hold it.

    Raises:
        UnsupportedError: The driver only writes.
    """
    try:
        with driver.reader(blob_path(digest)) as reader:
            return size_of(reader)
    except NotFoundError:
        return None


def open_blob(driver: ImageDriver, digest: Digest, size: int | None = None) -> VerifyingReader:
    """A reader of a blob, which verifies what it hands out by its end.

    Args:
        driver: The layout.
        digest: The blob.
        size: Length required, in bytes; whatever is stored where None.

    Raises:
        NotFoundError: The layout does not hold it.
        SizeMismatchError: It is stored with another length.
        UnsupportedError: Its digest cannot be computed, or the driver only writes.

    Spec: image-spec v1.1, descriptor.md, "Verification".
    """
    digest.hasher()
    reader = driver.reader(blob_path(digest))
    try:
        stored = size_of(reader)
        if size is not None and size != stored:
            raise SizeMismatchError(f"size of {digest}", expected=size, actual=stored)
        return VerifyingReader(reader, digest, stored)
    except BaseException:
        reader.close()
        raise


def read_blob(driver: ImageDriver, digest: Digest, limit: int = MAX_READ_SIZE) -> bytes:
    """The whole of a blob, verified.

    Args:
        driver: The layout.
        digest: The blob.
        limit: Length allowed, in bytes.

    Raises:
        LimitExceededError: It is larger than the limit; nothing was read.
        NotFoundError: The layout does not hold it.
        DigestMismatchError: What is stored is something else.
        UnsupportedError: Its digest cannot be computed, or the driver only writes.
    """
    with open_blob(driver, digest) as reader:
        if reader.size > limit:
            raise LimitExceededError(
                f"blob {digest} of {reader.size} bytes is too large to be read into memory",
                limit="MAX_READ_SIZE",
                value=limit,
            )
        return reader.read()


def new_blob_writer(driver: ImageDriver, algorithm: str = "sha256") -> BlobWriter:
    """A writer of a blob, which is stored with `commit` and named by its digest.

    Args:
        driver: The layout.
        algorithm: Of the digest: sha256, sha384 or sha512.

    Raises:
        UnsupportedError: The algorithm cannot be computed here, or the driver only reads.
    """
    new_hash(algorithm)
    return driver.blob_writer(algorithm)


def write_blob(driver: ImageDriver, data: Data, algorithm: str = "sha256") -> Digest:
    """Store a blob, durably, and return its digest; success also if it was stored before.

    Raises:
        UnsupportedError: The algorithm cannot be computed here, or the driver only reads.
        OSError: It could not be stored (ENOSPC, EIO); nothing is kept.
    """
    with new_blob_writer(driver, algorithm) as writer:
        writer.write(data)
        return writer.commit(memoryview(data).nbytes)


def write_json_blob(driver: ImageDriver, value: object, media_type: str) -> Descriptor:
    """Store a value as a compact JSON document, and return its descriptor.

    Args:
        driver: The layout.
        value: Anything that JSON can say: dictionaries keep their order.
        media_type: Of the document.

    Raises:
        TypeError: The value holds what JSON has no form for.
        ValueError: It holds NaN, an infinity or half of a surrogate pair, or contains itself; or
            the media type is none.
        UnsupportedError: The driver only reads.
        OSError: It could not be stored; nothing is kept.
    """
    if not valid(media_type):
        raise ValueError(f"{media_type[:100]!r} is no media type")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    data = text.encode()
    return Descriptor(media_type=media_type, digest=write_blob(driver, data), size=len(data))


def delete_blob(driver: ImageDriver, digest: Digest) -> bool:
    """Remove a blob, whoever names it; whether it was there.

    Raises:
        UnsupportedError: The driver only reads, or only appends.
    """
    try:
        driver.remove(blob_path(digest))
    except NotFoundError:
        return False
    return True
