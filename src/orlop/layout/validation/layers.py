"""What the specification says of layers: how they are compressed, and what is in their tars.

A layer is read once, as a stream: whatever is wrong with its tar, it is hashed to the end.

Spec: image-spec v1.1, layer.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orlop.compression import Compression, Decompressor
from orlop.digest import digest_of, new_hash
from orlop.errors import InvalidLayerError, OrlopError
from orlop.layout.validation.rule import Rule, shown
from orlop.mediatype import (
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_NONDISTRIBUTABLE,
    OCI_LAYER_NONDISTRIBUTABLE_GZIP,
    OCI_LAYER_NONDISTRIBUTABLE_ZSTD,
    OCI_LAYER_ZSTD,
    oci_twin,
)
from orlop.tar import TarLimits, TarScanner
from orlop.tree import Put
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orlop.digest import Digest
    from orlop.layout.validation.rule import Finding
    from orlop.tree import Entry

MAX_LAYER_FINDINGS: Final = 100
"""Entries of one layer that are reported one by one; what more there are is counted."""

LAYER_LIMITS: Final = TarLimits(max_entries=1_000_000, max_metadata_size=256 << 20)
"""Bounds of a layer whose names are compared; behind them, it is hashed and no more."""

_FORMAT: Final = 'layer.md, "Distributable Format"'
_WHITEOUTS: Final = 'layer.md, "Whiteouts"'
_PREFIX: Final = b".wh."
_COMPRESSIONS: Final = {
    OCI_LAYER: Compression.NONE,
    OCI_LAYER_GZIP: Compression.GZIP,
    OCI_LAYER_ZSTD: Compression.ZSTD,
    OCI_LAYER_NONDISTRIBUTABLE: Compression.NONE,
    OCI_LAYER_NONDISTRIBUTABLE_GZIP: Compression.GZIP,
    OCI_LAYER_NONDISTRIBUTABLE_ZSTD: Compression.ZSTD,
}


@dataclass(slots=True, kw_only=True)
class Layer:
    """What one pass over a layer has found.

    Attributes:
        compression: What its first bytes tell; None where it is one that layers do not have.
        diff_id: The digest of what was compressed; None where that cannot be read.
        no_tar: Why it is no tar, or nothing.
        unread: Why its tar was not read to the end, though it may be one, or nothing.
        duplicates: Entries whose paths came before.
        nameless: Whiteouts that name no file.
        odd_whiteouts: Whiteouts that are no empty files.
    """

    compression: Compression | None = None
    diff_id: Digest | None = None
    no_tar: list[Finding] = field(default_factory=list)
    unread: list[Finding] = field(default_factory=list)
    duplicates: list[Finding] = field(default_factory=list)
    nameless: list[Finding] = field(default_factory=list)
    odd_whiteouts: list[Finding] = field(default_factory=list)

    def without_findings(self) -> Layer:
        """What other documents are compared with, when the findings have been told."""
        return Layer(compression=self.compression, diff_id=self.diff_id)


LAYER: Final[tuple[Rule[Layer], ...]] = (
    Rule(_FORMAT, "a layer is a tar archive", lambda layer: layer.no_tar),
    Rule(_FORMAT, "no path comes twice", lambda layer: layer.duplicates),
    Rule(_WHITEOUTS, "a whiteout names a path", lambda layer: layer.nameless, "note"),
    Rule(_WHITEOUTS, "a whiteout is an empty file", lambda layer: layer.odd_whiteouts, "note"),
    Rule(_FORMAT, "a layer can be read to its end", lambda layer: layer.unread, "note"),
)
"""What holds for the content of a layer."""


def compression_of(media_type: str) -> Compression | None:
    """The compression that a media type promises; None where it is that of no tar."""
    return _COMPRESSIONS.get(oci_twin(media_type))


class LayerPass:
    """Looks into a layer as its bytes come.

    Args:
        algorithm: Of the diffID that is wanted.
    """

    def __init__(self, algorithm: str) -> None:
        self.found = Layer()
        self._decompressor = Decompressor()
        self._hash = new_hash(algorithm)
        self._scan = _Scan(self.found)
        self._broken = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stored layer."""
        if not self._broken:
            self._take(self._decompressor.feed, chunk)

    def close(self) -> Layer:
        """All that was found, now that the layer has ended."""
        if not self._broken:
            self._take(self._decompressor.close)
        self.found.compression = self._decompressor.compression
        if not self._broken:
            self._scan.close()
            self.found.diff_id = digest_of(self._hash)
        return self.found

    def _take(self, step: Callable[..., Iterator[bytes]], *arguments: bytes) -> None:
        try:
            for piece in step(*arguments):
                self._hash.update(piece)
                self._scan.feed(piece)
        except OrlopError as error:
            self._broken = True
            found = self.found
            broken = found.no_tar if isinstance(error, InvalidLayerError) else found.unread
            broken.append(("", str(error)))


class _Scan:
    """Compares the names of a tar, until there is something that cannot be read."""

    def __init__(self, found: Layer) -> None:
        self._found = found
        self._scanner: TarScanner | None = TarScanner(None, limits=LAYER_LIMITS, whiteouts=False)
        self._paths: set[bytes] = set()

    def feed(self, piece: bytes) -> None:
        if self._scanner is None:
            return
        try:
            self._look(self._scanner.feed(piece))
        except OrlopError as error:
            self._stop(error)

    def close(self) -> None:
        if self._scanner is None:
            return
        try:
            self._look(self._scanner.close())
        except OrlopError as error:
            self._stop(error)

    def _stop(self, error: OrlopError) -> None:
        self._scanner = None
        self._paths.clear()
        invalid = isinstance(error, InvalidLayerError)
        (self._found.no_tar if invalid else self._found.unread).append(("", str(error)))

    def _look(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.path in self._paths:
                _add(self._found.duplicates, entry.path, "comes twice")
            self._paths.add(entry.path)
            name = entry.path.rpartition(b"/")[2]
            if name == _PREFIX:
                _add(self._found.nameless, entry.path, "is a whiteout of nothing")
            elif name.startswith(_PREFIX) and not _is_empty_file(entry):
                _add(self._found.odd_whiteouts, entry.path, "is a whiteout, and no empty file")


def _is_empty_file(entry: Entry) -> bool:
    return isinstance(entry, Put) and entry.node.type == S_IFREG and not entry.node.size


def _add(findings: list[Finding], path: bytes, message: str) -> None:
    """Report an entry, or that there are more of them than are reported."""
    if len(findings) < MAX_LAYER_FINDINGS:
        name = shown(path.decode("utf-8", "backslashreplace"))
        findings.append((f" entry {name}", message))
    elif len(findings) == MAX_LAYER_FINDINGS:
        findings.append(("", f"has further entries: each {message}"))
