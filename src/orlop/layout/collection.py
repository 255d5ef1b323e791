"""Freeing what a layout no longer needs.

What is needed is what `index.json` leads to, through indexes and manifests. A manifest's `subject`
is not followed: a signature does not keep what it signs, nor the other way round, so that each of
the two is kept by being listed itself. What lies in a layout beside its blobs is never touched.

Spec: image-spec v1.1, image-layout.md, "Blobs"; manifest.md, "subject".
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.errors import (
    InvalidDigestError,
    LimitExceededError,
    NotFoundError,
    OrlopError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.layout.blobs import read_blob, stat_blob
from orlop.layout.driver.access import collecting, locked, remove_file
from orlop.layout.driver.path import BLOBS, blob_path
from orlop.layout.driver.protocol import Cleanable, Dated, Enumerable
from orlop.layout.image import read_image_layout, read_index
from orlop.mediatype import is_index, is_manifest
from orlop.spec.document import decode_document
from orlop.spec.index import Index
from orlop.spec.json import MAX_DOCUMENT_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.layout.driver.protocol import ImageDriver
    from orlop.spec.descriptor import Descriptor

MAX_REACHABLE: Final = 1_000_000
"""Blobs that an index may lead to."""

BLOB_KEEP_TIME: Final = 3600
"""Seconds for which a blob is kept that nothing names: other tools store blobs before they do."""

WRITERS_TIMEOUT: Final = 60
"""Seconds to wait for those that store blobs and have not named them yet."""

_DIGESTS: Final = re.compile(rb"sha(?:256:[a-f0-9]{64}|384:[a-f0-9]{96}|512:[a-f0-9]{128})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """A file that went, or would go.

    Attributes:
        path: Where it was in the layout.
        digest: What it was the content of; None for what a writer that died has left.
        size: In bytes; 0 where that is not known.
    """

    path: str
    digest: Digest | None
    size: int


def collect(
    driver: ImageDriver,
    *,
    unfinished: bool = False,
    dry_run: bool = False,
    timeout: float = WRITERS_TIMEOUT,
) -> list[Removed]:
    """Remove the blobs that the index does not lead to, and what killed writers have left.

    Nothing is removed before everything has been read that says what is needed. Documents that the
    layout does not have are no hindrance, as it need not have them.

    A blob that was written within the last hour is kept, where the driver knows: skopeo and others
    store blobs before they name them, and take no lock. Tools of that kind must not write while
    `unfinished` blobs are removed, nor rely on blobs that nothing names.

    Args:
        driver: The layout; a driver that is `Enumerable`.
        unfinished: Remove recent blobs too.
        dry_run: Only say what would go, without taking a lock.
        timeout: Seconds to wait for writers that take part in the driver's locks.

    Returns:
        What went, or would go.

    Raises:
        InUseError: Somebody is writing still; nothing was removed.
        NotFoundError: This is no layout.
        InvalidDocumentError: The index, or a document that is needed, is broken; nothing was
            removed, nor in the cases below.
        VerificationError: A document is not what its descriptor says.
        LimitExceededError: There are too many blobs, or a document is too large.
        UnsupportedError: The driver does not know its files, or only reads.
        OSError: A file cannot be read or removed (EACCES).
    """
    if not isinstance(driver, Enumerable):
        raise UnsupportedError(f"{driver} cannot tell which files it has")
    read_image_layout(driver)
    with ExitStack() as locks:
        if not dry_run:
            locks.enter_context(collecting(driver, timeout))
            locks.enter_context(locked(driver))
        needed = reachable(driver, read_index(driver))
        before = None if unfinished else time.time_ns() - BLOB_KEEP_TIME * 10**9
        paths = [path for path in driver.paths(f"{BLOBS}/") if _digest_of(path) not in needed]
        removed = list(_remove_blobs(driver, paths, before, dry_run=dry_run))
        return [*removed, *_remove_leftovers(driver, dry_run=dry_run)]


def reachable(driver: ImageDriver, index: Index) -> set[Digest]:
    """The digest of everything that an index leads to, whether or not the layout holds it.

    Content of an unknown media type, which may be a document of tomorrow, leads to every digest
    that is written in it.

    Raises:
        InvalidDocumentError: A document is broken.
        VerificationError: A document is not what its descriptor says.
        LimitExceededError: There are too many blobs, or a document is too large.
    """
    pending = list(dict.fromkeys(map(_node, index.manifests)))
    visited, found = set(pending), {digest for digest, _ in pending}
    while pending:
        digest, media_type = pending.pop()
        try:
            leaves, nodes = _below(driver, digest, media_type)
        except NotFoundError:
            continue
        except OrlopError as error:
            error.hint = "nothing was removed; `validate` says what is wrong"
            raise error.inside(f"{driver}: {digest}")
        pending += (node for node in dict.fromkeys(nodes) if node not in visited)
        visited.update(nodes)
        found.update(leaves, (each for each, _ in nodes))
        if len(found) > MAX_REACHABLE:
            raise LimitExceededError(
                f"{driver} leads to too many blobs", limit="MAX_REACHABLE", value=MAX_REACHABLE
            )
    return found


def _below(
    driver: ImageDriver, digest: Digest, media_type: str
) -> tuple[list[Digest], list[tuple[Digest, str]]]:
    """What a blob leads to: what ends there, and what may lead on."""
    if not media_type:
        return [], [(each, "") for each in _mentioned(driver, digest)]
    document = decode_document(read_blob(driver, digest, MAX_DOCUMENT_SIZE), media_type)
    if isinstance(document, Index):
        return [], list(map(_node, document.manifests))
    return [document.config.digest, *(each.digest for each in document.layers)], []


def _node(descriptor: Descriptor) -> tuple[Digest, str]:
    """What may lead on, and the media type of the document that it is; none where it is another."""
    media_type = descriptor.media_type
    return descriptor.digest, media_type if is_index(media_type) or is_manifest(media_type) else ""


def _mentioned(driver: ImageDriver, digest: Digest) -> set[Digest]:
    """Every digest that can be read in a blob, unless it is larger than documents are."""
    size = stat_blob(driver, digest)
    if size is None or size > MAX_DOCUMENT_SIZE or not digest.computable:
        return set()
    raw = read_blob(driver, digest, MAX_DOCUMENT_SIZE)
    return {Digest(each.decode()) for each in _DIGESTS.findall(raw)}


def _as_digest(text: str) -> Digest | None:
    try:
        return Digest(text)
    except InvalidDigestError:
        return None


def _digest_of(path: str) -> Digest | None:
    """The digest that the path of a blob stands for; None for other files."""
    return _as_digest(path.removeprefix(f"{BLOBS}/").replace("/", ":", 1))


def _remove_blobs(
    driver: ImageDriver, paths: Iterable[str], before: int | None, *, dry_run: bool
) -> Iterator[Removed]:
    for path in paths:
        digest = _digest_of(path)
        if digest is None or blob_path(digest) != path:
            continue
        try:
            size = stat_blob(driver, digest)
            recent = before is not None and _is_younger(driver, path, before)
        except (UnsafePathError, NotFoundError):
            continue
        if size is None or recent:
            continue
        if not dry_run:
            remove_file(driver, path)
        yield Removed(path=path, digest=digest, size=size)


def _is_younger(driver: ImageDriver, path: str, before: int) -> bool:
    return isinstance(driver, Dated) and driver.modified_ns(path) > before


def _remove_leftovers(driver: ImageDriver, *, dry_run: bool) -> Iterator[Removed]:
    if isinstance(driver, Cleanable):
        for path in driver.unfinished():
            if driver.discard(path, dry_run=dry_run):
                yield Removed(path=path, digest=None, size=0)
