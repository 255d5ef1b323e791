"""One layer from its compressed bytes to its forms, in one pass.

Two threads share the work, so that one big layer uses two cores: the caller's decompresses, a
worker hashes, writes and scans. What waits between them is bounded.

    feed ─► decompress ─► queue ─► hash ─► scan ─► sink: a tar, or a directory
                                             └──► changeset
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from orlop.compression import Decompressor
from orlop.digest import Digest, digest_of, empty_digest, new_hash
from orlop.errors import DigestMismatchError
from orlop.tar import TarScanner
from orlop.tree import ChangesetEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.compression import DecompressionLimits
    from orlop.tar import TarLimits
    from orlop.tree import Entry

QUEUE_PIECES: Final = 6
"""How many pieces of up to a mebibyte wait between the two threads."""


class LayerSink(Protocol):
    """Where the uncompressed bytes of a layer go."""

    def write(self, piece: bytes, offset: int, entries: Sequence[Entry]) -> None:
        """Take the bytes at `offset` of the tar, and the entries whose headers end in them."""

    def finish(self, entries: Sequence[Entry]) -> None:
        """Take the last entries; success means that the form is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackedLayer:
    """What is known of a layer once all of it has been read.

    Attributes:
        diff_id: The digest of the uncompressed tar, as computed.
        size: Its length in bytes.
        entries: How many entries it has.
        changeset: What it does, encoded.
    """

    diff_id: Digest
    size: int
    entries: int
    changeset: bytes


class LayerUnpacker:
    """Takes the stored bytes of a layer piece by piece, and fills a sink.

    As a context manager it ends its thread on every way out. An error in the worker is raised by
    the next call.

    Args:
        diff_id: What the uncompressed bytes must hash to; None where that is to be found out.
        sink: Where they go.
        decompression: Limits on what they may grow to.
        tar: Limits on what the archive may hold.
        foreign: Take bzip2 and xz too.
    """

    def __init__(
        self,
        diff_id: Digest | None,
        sink: LayerSink,
        *,
        decompression: DecompressionLimits,
        tar: TarLimits,
        foreign: bool = False,
    ) -> None:
        self._diff_id = diff_id
        self._sink = sink
        self._decompressor = Decompressor(limits=decompression, foreign=foreign)
        # The changeset does not keep whose it is.
        self._scanner = TarScanner(diff_id or empty_digest(), limits=tar)
        self._hash = new_hash("sha256") if diff_id is None else diff_id.hasher()
        self._encoder = ChangesetEncoder()
        self._size = 0
        self._error: BaseException | None = None
        self._pieces: queue.Queue[bytes | None] = queue.Queue(QUEUE_PIECES)
        self._worker = threading.Thread(target=self._work, name="orlop-unpack", daemon=True)
        self._worker.start()

    @property
    def compression(self) -> str:
        """How the stored bytes were compressed, as far as they tell by now; `none` where not."""
        found = self._decompressor.compression
        return "none" if found is None else found.value or "none"

    @property
    def ended(self) -> bool:
        """Whether the tar has an end marker; asked after `finish`."""
        return self._scanner.ended

    def feed(self, chunk: bytes) -> None:
        """Take the next stored bytes.

        Raises:
            InvalidLayerError: The compression or the tar is broken.
            UnsafePathError: An entry would leave the root.
            LimitExceededError: The layer is larger than the limits allow.
            UnsupportedError: The compression is known and not supported.
            OSError: The sink could not write.
        """
        for piece in self._decompressor.feed(chunk):
            self._hand_over(piece)

    def feed_tar(self, piece: bytes) -> None:
        """Take the next uncompressed bytes, at most about a mebibyte; instead of `feed`.

        Raises:
            OrlopError: As `feed`.
            OSError: The sink could not write.
        """
        self._hand_over(piece)

    def finish(self) -> UnpackedLayer:
        """End the layer; success means that the sink is complete and the bytes hash to the diffID.

        Raises:
            DigestMismatchError: The uncompressed bytes hash to something else.
            InvalidLayerError: The layer is cut short, or as for `feed`.
        """
        for piece in self._decompressor.close():
            self._hand_over(piece)
        self.close()
        self._raise_error()
        diff_id = digest_of(self._hash)
        if self._diff_id not in {None, diff_id}:
            raise DigestMismatchError(
                "the uncompressed layer is not what the image's config names",
                expected=self._diff_id,
                actual=diff_id,
                hint="the image is damaged or forged: pull it from another place",
            )
        last = self._scanner.close()
        self._encoder.add(last)
        self._sink.finish(last)
        return UnpackedLayer(
            diff_id=diff_id,
            size=self._size,
            entries=self._encoder.entries,
            changeset=self._encoder.encode(),
        )

    def close(self) -> None:
        """End the worker thread; what it has not done is left undone after an error."""
        if self._worker.is_alive():
            self._pieces.put(None)
        self._worker.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not None:
            self._error = self._error or KeyboardInterrupt()
        self.close()

    def _hand_over(self, piece: bytes) -> None:
        self._raise_error()
        self._pieces.put(piece)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        """Take pieces until None comes; after an error they are taken and dropped."""
        while (piece := self._pieces.get()) is not None:
            if self._error is None:
                try:
                    self._take(piece)
                except BaseException as error:
                    self._error = error

    def _take(self, piece: bytes) -> None:
        self._hash.update(piece)
        entries = self._scanner.feed(piece)
        self._sink.write(piece, self._size, entries)
        self._encoder.add(entries)
        self._size += len(piece)
