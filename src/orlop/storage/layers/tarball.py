"""Tars on their way into the store: what is applied, frozen or committed.

The bytes come in any compression, or are written here out of a changeset. They are kept
uncompressed as a blob of their own, from which the forms follow; nothing is named before all of
them are here, verified and durable.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from orlop._sys.sync import sync_directory
from orlop.compression import Compressor
from orlop.content import ensure_directory
from orlop.digest import Digest, new_hash
from orlop.errors import InvalidLayerError
from orlop.mediatype import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from orlop.metadata import BlobRecord, Blobs, Lease
from orlop.metadata.content import LeasedContent
from orlop.spec import Descriptor
from orlop.storage.build import LayerLimits
from orlop.storage.places import writing_to
from orlop.storage.sinks import TarSink
from orlop.storage.staging import staging_directory
from orlop.storage.unpack import LayerUnpacker
from orlop.tar import END_OF_ARCHIVE, encode_entry, iter_archive, padding
from orlop.tree import EncodedChangeset, Link
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from orlop.compression import CompressionName
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.members import Member
    from orlop.storage.unpack import UnpackedLayer
    from orlop.tree import Entry, Node

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A tar that was taken in, and is kept by a lease alone until a layer holds it.

    Attributes:
        diff_id: Its digest.
        size: Its length in bytes.
        source: The digest of what it came in; of itself where that was not compressed.
        source_size: The length of that, in bytes.
        compression: How that was compressed; `none` where it was not.
        changeset: What it does.
    """

    diff_id: Digest
    size: int
    source: Digest
    source_size: int
    compression: str
    changeset: EncodedChangeset


class TarTaker:
    """Takes the bytes of one tar; a context manager, after which nothing of it is left behind.

    Args:
        storage: Where it goes.
        lease: What keeps it.
        limits: What it may grow to, and hold; the defaults where None.
    """

    def __init__(
        self, storage: StorageCore, lease: Lease, *, limits: LayerLimits | None = None
    ) -> None:
        self._storage = storage
        self._lease = lease
        self._limits = limits or LayerLimits()
        self._source = new_hash("sha256")
        self._source_size = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            staging = stack.enter_context(staging_directory(self._storage.places, self._lease.id))
            self._path = staging / "tar"
            sink = stack.enter_context(TarSink(self._path))
            self._unpacker = stack.enter_context(
                LayerUnpacker(
                    None,
                    sink,
                    decompression=self._limits.decompression,
                    tar=self._limits.tar,
                    foreign=True,
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, of any compression.

        Raises:
            OrlopError: They are no tar, or one that is hostile or too large.
            OSError: They could not be written.
        """
        self._source.update(chunk)
        self._source_size += len(chunk)
        self._unpacker.feed(chunk)

    def feed_tar(self, piece: bytes) -> None:
        """Take the next bytes of a tar that is known not to be compressed; instead of `feed`.

        Raises:
            OrlopError: As `feed`.
            OSError: They could not be written.
        """
        self._unpacker.feed_tar(piece)

    def finish(self) -> Taken:
        """End the tar; success means that it is durable, and kept by the lease.

        Raises:
            InvalidLayerError: It is cut short.
            OrlopError: It is no tar, or one that is hostile or too large.
            OSError: It could not be written.
        """
        layer = self._unpacker.finish()
        if not self._unpacker.ended:
            # No digest tells whether this is all of it.
            raise InvalidLayerError(
                "the tar has no end marker: it is cut short",
                hint="two blocks of zeros end a tar; GNU tar and all libraries write them",
            )
        self._publish(layer)
        plain = not self._source_size or self._unpacker.compression == "none"
        return Taken(
            diff_id=layer.diff_id,
            size=layer.size,
            source=layer.diff_id if plain else Digest(f"sha256:{self._source.hexdigest()}"),
            source_size=layer.size if plain else self._source_size,
            compression=self._unpacker.compression,
            changeset=EncodedChangeset(layer.changeset, layer.diff_id),
        )

    def _publish(self, layer: UnpackedLayer) -> None:
        """Name blob and form: first under the lease, so that no collector takes the files."""
        places, diff_id = self._storage.places, layer.diff_id
        blob = places.blob(diff_id)
        self._lease.hold_all([("blob", diff_id), ("form", diff_id)])
        _sync_file(self._path)
        ensure_directory(str(blob.parent))
        if self._storage.forms.usable(diff_id, "tar") is None:
            form = self._path.with_name("form")
            os.link(self._path, form)
            self._storage.forms.publish(layer, form, "tar", self._lease)
        if not blob.exists():
            os.rename(self._path, blob)
        sync_directory(blob.parent)  # Who was killed may have named it, and not done this.
        record = BlobRecord(
            digest=diff_id,
            size=layer.size,
            media_type=OCI_LAYER,
            created_at_ns=time.time_ns(),
        )
        with self._storage.database.write() as tx:
            self._lease.require_in(tx)
            Blobs(tx).put(record)


def take_stream(
    storage: StorageCore, stream: BinaryIO, lease: Lease, *, limits: LayerLimits | None = None
) -> Taken:
    """Take a tar in, compressed or not, from the stream's position to its end.

    Raises:
        InvalidLayerError: It is no tar, or cut short.
        OrlopError: It is hostile or too large.
        OSError: It could not be read or written; nothing is kept.
    """
    with writing_to(storage.places.root), TarTaker(storage, lease, limits=limits) as taker:
        empty = True
        while chunk := stream.read(_CHUNK):
            empty = False
            taker.feed(chunk)
        if empty:
            raise InvalidLayerError("there is no tar: the stream is empty")
        return taker.finish()


def take_entries(
    storage: StorageCore,
    members: Iterable[Member],
    open_source: Callable[[Digest], int],
    lease: Lease,
) -> Taken:
    """Write a changeset as a tar, and take it in.

    Raises:
        ConflictError: A file of a directory was cut off while it was read.
        InvalidLayerError: A tar of the store is too short.
        UnsupportedError: A tar cannot say it: a name begins with `.wh.`, which marks whiteouts.
        OSError: It could not be read or written; nothing is kept.
    """
    with writing_to(storage.places.root), TarTaker(storage, lease) as taker:
        for piece in iter_tar(members, open_source):
            taker.feed_tar(piece)
        return taker.finish()


def compress_blob(
    storage: StorageCore, taken: Taken, lease: Lease, compression: CompressionName
) -> Descriptor:
    """The blob that a tar is kept in: itself, or a compressed one that is made now.

    Raises:
        OSError: It could not be read or written.
        ValueError: There is no such compression.
    """
    if compression == "none":
        return Descriptor(media_type=OCI_LAYER, digest=taken.diff_id, size=taken.size)
    content = LeasedContent(storage.content, storage.database, lease)
    kind = {"gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}.get(compression)
    if kind is None:
        raise ValueError(f"{compression!r} is no compression: none, gzip and zstd are")
    compressor = Compressor(compression)
    with (
        writing_to(storage.places.root),
        open(storage.places.blob(taken.diff_id), "rb") as tar,
        content.ingest(f"compress {compression} {taken.diff_id}", media_type=kind) as ingest,
    ):
        ingest.restart()
        while piece := tar.read(_CHUNK):
            ingest.write(compressor.feed(piece))
        ingest.write(compressor.close())
        size = ingest.offset
        return Descriptor(media_type=kind, digest=ingest.commit(), size=size)


def iter_tar(members: Iterable[Member], open_source: Callable[[Digest], int]) -> Iterator[bytes]:
    """The bytes of a changeset as a tar, in pieces of about a mebibyte.

    Raises:
        UnsupportedError: A name begins with `.wh.`, and would be taken for a whiteout.

    Spec: image-spec v1.1, layer.md, "Representing Changes".
    """
    from orlop.storage.layers.pieces import iter_pieces

    return iter_archive(members, lambda node: iter_pieces(node, open_source))


def _header(entry: Entry, node: Node | None) -> bytes:
    return encode_entry(entry, inode=node if type(entry) is Link else None)


def tar_size(members: Iterable[Member]) -> int:
    """How many bytes `iter_tar` gives, without reading any file."""
    size = len(END_OF_ARCHIVE)
    for entry, node in members:
        size += len(_header(entry, node))
        if node is not None and type(entry) is not Link and node.type == S_IFREG:
            size += node.size + len(padding(node.size))
    return size


def has_foreign_links(changeset: EncodedChangeset) -> bool:
    """Whether a hard link leads to what the changeset itself does not add."""
    added = set()
    links = []
    for entry in changeset.additions():
        added.add(entry.path)
        if type(entry) is Link:
            links.append(entry.target)
    return any(target not in added for target in links)


def _sync_file(path: os.PathLike[str]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
