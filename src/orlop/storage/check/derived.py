"""Looks at what is derived: the forms of layers, and what is made of stacks of them.

A tar is hashed, and its headers are read again: what they do is the changeset. Of a directory it is
seen that it is there; what is in it is not compared. What is not recorded is made when it is
needed, and so is nothing that is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.content import DigestDirectory
from orlop.digest import Digest, chain_id, empty_digest
from orlop.errors import NotFoundError, OrlopError
from orlop.metadata import Chains, Forms
from orlop.storage import chains, forms
from orlop.storage.build import LayerLimits
from orlop.storage.chains import Stack
from orlop.storage.check.examination import is_leased, is_needed
from orlop.storage.check.report import Finding
from orlop.storage.forms import CHANGESET, is_disk
from orlop.storage.left_out import is_note
from orlop.storage.rebuild import find_blob
from orlop.storage.sinks import NoSink
from orlop.storage.unpack import LayerUnpacker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orlop.metadata import DerivedRecord
    from orlop.storage.check.examination import Examination
    from orlop.storage.check.report import Damage, Remedy
    from orlop.storage.core import StorageCore
    from orlop.storage.unpack import UnpackedLayer

_CHUNK: Final = 1 << 20


class FormExaminer:
    """Looks at the forms of a store's layers."""

    kind: Final = "form"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._storage = examination.storage

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        present = _present(self._storage, "forms")
        with self._examination.read() as tx:
            recorded = tx.rows("SELECT DISTINCT diff_id FROM forms")
        return dict.fromkeys((*(row[0] for row in recorded), *present))

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`."""
        diff_id = Digest(key)
        with self._examination.read() as tx:
            records = {record.kind: record for record in Forms(tx).list(diff_id)}
            leased = not records and is_leased(tx, "form", diff_id)
        folder = self._storage.places.form(diff_id)
        if not records:
            if folder.is_dir() and not leased:
                yield self._finding(diff_id, "", "leftover", "has no record", "remove")
            return
        scanned = None if self._examination.quick else self._scan(folder / "tar")
        for kind, record in records.items():
            if record.writer_version == forms.WRITER_VERSION:
                yield from self._look(record, folder / kind)
        if scanned is not None and scanned.diff_id == diff_id and CHANGESET in records:
            yield from self._compare(records[CHANGESET], folder, scanned)

    def _look(self, record: DerivedRecord, path: Path) -> Iterator[Finding]:
        wrong = wrong_with(self._examination, record, path)
        if wrong is not None:
            yield self._damaged(record, *wrong)

    def _scan(self, tar: Path) -> UnpackedLayer | None:
        """What a tar does, and its digest, which is noted; None where it is none."""
        try:
            found = scan(tar)
            self._examination.note(tar, found.diff_id)
        except (OSError, OrlopError):
            return None
        return found

    def _compare(
        self, record: DerivedRecord, folder: Path, scanned: UnpackedLayer
    ) -> Iterator[Finding]:
        """Whether the changeset is what the headers of the tar say."""
        try:
            data = (folder / CHANGESET).read_bytes()
        except OSError:
            return
        if Digest.of(data) == record.digest and data != scanned.changeset:
            yield self._damaged(record, "mismatch", "is not what the tar does")

    def _damaged(self, record: DerivedRecord, damage: Damage, what: str) -> Finding:
        remedy: Remedy = "rebuild"
        with self._examination.read() as tx:
            needed = is_needed(tx, "form", record.source)
        if not needed:
            damage, what, remedy = "leftover", f"{what}, and nothing needs it", "remove"
        elif is_disk(record.kind):
            remedy = "remove"  # Who wants it builds it again.
        else:
            try:
                find_blob(self._storage, record.source)
            except NotFoundError:
                remedy = "fetch"
        return self._finding(record.source, record.kind, damage, what, remedy)

    def _finding(
        self, diff_id: Digest, kind: str, damage: Damage, what: str, remedy: Remedy
    ) -> Finding:
        path = self._storage.places.form(diff_id) / kind
        of = "" if is_disk(kind) else "layer "
        return Finding(
            damage=damage,
            subject="form",
            id=f"{diff_id} {kind}".rstrip(),
            what=f"the {kind or 'directory'} of {of}{diff_id} {what}",
            path=str(path),
            remedy=remedy,
        )


class ChainExaminer:
    """Looks at what is made of a store's stacks."""

    kind: Final = "chain"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._storage = examination.storage

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        present = _present(self._storage, "chains")
        with self._examination.read() as tx:
            recorded = tx.rows(
                "SELECT chain_id FROM chains UNION SELECT chain_id FROM chain_layers"
            )
        return dict.fromkeys((*(row[0] for row in recorded), *present))

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`."""
        source = Digest(key)
        with self._examination.read() as tx:
            records = list(Chains(tx).list(source))
            diff_ids = Chains(tx).layers(source)
            leased = not records and is_leased(tx, "chain", source)
        folder = self._storage.places.chain(source)
        if not records and not leased and folder.is_dir():
            yield self._finding(source, "", "leftover", "has no record", "remove")
        if diff_ids and chain_id(diff_ids) != source:
            what = "is recorded with layers that do not make it"
            yield self._finding(source, "", "mismatch", what, "none")
        for record in records:
            if record.writer_version == chains.WRITER_VERSION:
                wrong = wrong_with(self._examination, record, folder / record.kind)
                if wrong is not None:
                    yield self._damaged(record, *wrong)

    def _damaged(self, record: DerivedRecord, damage: Damage, what: str) -> Finding:
        with self._examination.read() as tx:
            needed = is_needed(tx, "chain", record.source)
        if needed:
            return self._finding(record.source, record.kind, damage, what, "rebuild")
        what = f"{what}, and nothing needs it"
        return self._finding(record.source, record.kind, "leftover", what, "remove")

    def _finding(
        self, source: Digest, kind: str, damage: Damage, what: str, remedy: Remedy
    ) -> Finding:
        path = self._storage.places.chain(source) / kind
        return Finding(
            damage=damage,
            subject="chain",
            id=f"{source} {kind}".rstrip(),
            what=f"the {kind or 'directory'} of stack {source} {what}",
            path=str(path),
            remedy=remedy,
        )


def stack_of_chain(storage: StorageCore, source: Digest) -> Stack | None:
    """The layers of a recorded stack; None where they are not known."""
    with storage.database.read() as tx:
        diff_ids = Chains(tx).layers(source)
    if not diff_ids and source != empty_digest():
        return None
    return Stack(source, diff_ids)


def scan(tar: Path) -> UnpackedLayer:
    """Read a tar again: its digest, and what it does.

    Raises:
        OrlopError: It is no tar.
        OSError: It cannot be read.
    """
    limits = LayerLimits()
    with (
        open(tar, "rb") as file,
        LayerUnpacker(
            None, NoSink(), decompression=limits.decompression, tar=limits.tar
        ) as unpacker,
    ):
        while piece := file.read(_CHUNK):
            unpacker.feed_tar(piece)
        return unpacker.finish()


def _present(storage: StorageCore, folder: str) -> list[Digest]:
    place = DigestDirectory(str(storage.places.root / folder), storage.content.trash)
    return list(place.iter_digests())


def wrong_with(
    examination: Examination, record: DerivedRecord, path: Path
) -> tuple[Damage, str] | None:
    """What is wrong with the file or directory of a record; None where nothing is."""
    try:
        if path.is_dir():
            return None if record.digest is None else ("form", "is a directory")
        size = path.stat().st_size
        if record.digest is None and not is_note(record.kind):
            return "form", "is no directory"
        if size != record.size:
            return "size", f"has {size} bytes instead of {record.size}"
        if record.digest is None or examination.quick:  # Earlier versions noted no digest of notes.
            return None
        if examination.hash(path, record.digest.algorithm) != record.digest:
            return "digest", "has other bytes than its record says"
    except (FileNotFoundError, NotADirectoryError):
        return "missing", "is recorded, and not there"
    except OSError as error:
        return "unreadable", f"cannot be read: {error.strerror}"
    return None
