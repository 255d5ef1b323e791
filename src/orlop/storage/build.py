"""Building one form of a layer while its stored bytes pass by."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from orlop.compression import DecompressionLimits
from orlop.errors import (
    InvalidLayerError,
    LimitExceededError,
    OrlopError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.storage.sinks import DirectorySink, NoSink, TarSink
from orlop.storage.staging import staging_directory
from orlop.storage.unpack import LayerUnpacker
from orlop.tar import TarLimits

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from orlop.digest import Digest
    from orlop.metadata import Lease
    from orlop.storage.forms import FormKind, FormStore
    from orlop.storage.places import Places
    from orlop.storage.unpack import UnpackedLayer

_HINT: Final = "the image is at fault: ask its maker, or pull another version"
_FAULTS: Final = (InvalidLayerError, LimitExceededError, UnsafePathError, UnsupportedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLimits:
    """What a layer may grow to, and hold.

    Attributes:
        decompression: Ratio and size.
        tar: Entries, names and attributes.
    """

    decompression: DecompressionLimits = field(default_factory=DecompressionLimits)
    tar: TarLimits = field(default_factory=TarLimits)


class FormBuild:
    """Builds one form of one layer; a context manager, after which nothing is left behind.

    A fault in the layer does not end `feed`, which goes on and does nothing: whoever feeds it
    checks the blob's digest first, since a wrong one is the cause and not the fault.

    Args:
        places: Where the store is.
        forms: Where the form goes.
        lease: What keeps it.
        blob: The digest of what is fed; where it is the diffID, the blob becomes the form.
        diff_id: What the layer is when uncompressed.
        kind: `tar`, or `diff` for a directory.
        lowest: Whether the layer lies below all others.
        limits: What it may grow to, and hold; the defaults where None.
        copy: Write the form even where the blob could become it: it lies in another store.
    """

    def __init__(
        self,
        places: Places,
        forms: FormStore,
        lease: Lease,
        *,
        blob: Digest,
        diff_id: Digest,
        kind: FormKind,
        lowest: bool,
        limits: LayerLimits | None = None,
        copy: bool = False,
    ) -> None:
        self._places = places
        self._forms = forms
        self._lease = lease
        self._blob = blob
        self._diff_id = diff_id
        self._kind: FormKind = kind
        self._lowest = lowest
        self._limits = limits or LayerLimits()
        self._links = blob == diff_id and not copy
        self._fault: OrlopError | None = None
        self._layer: UnpackedLayer | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            staging = stack.enter_context(staging_directory(self._places, self._lease.id))
            self._built: Path = staging / self._kind
            self._sink = self._make_sink()
            stack.enter_context(self._sink)
            self._unpacker = stack.enter_context(
                LayerUnpacker(
                    self._diff_id,
                    self._sink,
                    decompression=self._limits.decompression,
                    tar=self._limits.tar,
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
        """Take the next stored bytes.

        Raises:
            OSError: The form could not be written.
        """
        if self._fault is None:
            try:
                self._unpacker.feed(chunk)
            except _FAULTS as fault:
                self._fault = fault

    def finish(self) -> None:
        """End the layer, once its blob is known to be what it should be.

        Raises:
            DigestMismatchError: The uncompressed bytes do not hash to the diffID.
            NeedsParentsError: The layer cannot be a directory of its own.
            OrlopError: The layer is broken, hostile or too large.
            OSError: The form could not be written.
        """
        try:
            if self._fault is not None:
                raise self._fault
            self._layer = self._unpacker.finish()
        except OrlopError as error:
            raise error.inside(f"layer {self._blob}", hint=_HINT)

    def publish(self) -> None:
        """Name the form; the blob that was fed has its name by now."""
        assert self._layer is not None
        kind = self._kind
        if isinstance(self._sink, NoSink):
            os.link(self._places.blob(self._blob), self._built)
        elif isinstance(self._sink, DirectorySink) and not self._sink.anywhere:
            kind = "base"
        self._forms.publish(self._layer, self._built, kind, self._lease)

    def _make_sink(self) -> DirectorySink | NoSink | TarSink:
        if self._kind != "tar":
            return DirectorySink(self._built, lowest=self._lowest)
        return NoSink() if self._links else TarSink(self._built)


class NoBuild:
    """Builds nothing: the form is here, and only the blob is wanted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def feed(self, chunk: bytes) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""

    def publish(self) -> None:
        """Do nothing."""
