"""Telling in one view what is right, so that a quick check looks closely only at the rest.

All records are read at once. What is right by them and by the lengths of its files has no finding;
anything else is doubtful, which says nothing yet: whoever looks at it alone tells what is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple, final

from orlop._sys.process import boot_id
from orlop.digest import Digest, chain_id, chain_on
from orlop.metadata import Blobs, Chains, Forms, Images
from orlop.spec import Manifest
from orlop.storage import forms
from orlop.storage.check.derived import wrong_with
from orlop.storage.check.documents import is_labelled, names_of, needs_of_name, read_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from orlop.metadata import DerivedRecord, Transaction
    from orlop.storage.check.examination import Examination


@final
class Screen:
    """All records of a store, as they were at one moment.

    Args:
        examination: The check.
    """

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._storage = examination.storage
        self._documents: dict[Digest, bool] = {}
        self._whole: dict[Digest, Sequence[DerivedRecord]] = {}
        self._boot_id = boot_id()
        with examination.read() as tx:
            self._images = {row.name: row for row in Images(tx).list()}
            self._blobs = {record.digest: record for record in Blobs(tx).list()}
            self._named = _grouped(tx, "SELECT parent, child FROM edges ORDER BY parent")
            self._layers = {row[0]: _Layer(*row[1:]) for row in tx.rows(_LAYERS)}
            self._forms = _by_source(Forms(tx).list())
            self._chains = _by_source(Chains(tx).list())
            self._stacks = _grouped(
                tx, "SELECT chain_id, diff_id FROM chain_layers ORDER BY chain_id, ordinal"
            )
        self._mixed = _on_no_tars(self._layers)
        self._is_right: dict[str, Callable[[str], bool]] = {
            "blob": self._is_blob_right,
            "image": self._is_image_right,
            "layer": self._is_layer_right,
            "form": self._is_form_right,
            "chain": self._is_chain_right,
        }

    def doubtful(self, kind: str, keys: Sequence[str]) -> Sequence[str]:
        """What an examiner of this kind has to look at, of all that it could."""
        is_right = self._is_right.get(kind)
        return keys if is_right is None else [key for key in keys if not is_right(key)]

    def _is_blob_right(self, key: str) -> bool:
        record = self._blobs.get(Digest(key))
        info = None if record is None else self._storage.content.stat(record.digest)
        return record is not None and info is not None and info.size == record.size

    def _is_image_right(self, key: str) -> bool:
        """Of a name that stands for an image; others are few."""
        kind, _, name = key.partition(" ")
        row = self._images.get(name) if kind == "image" else None
        if row is None:
            return False
        needs = needs_of_name(row)
        has_layer = needs.layer is None or needs.layer in self._layers
        return has_layer and all(map(self._is_document_right, needs.documents))

    def _is_document_right(self, digest: Digest) -> bool:
        if digest not in self._documents:
            self._documents[digest] = self._is_whole(digest)
        return self._documents[digest]

    def _is_whole(self, digest: Digest) -> bool:
        record = self._blobs.get(digest)
        if record is None:
            return False
        document = read_document(self._storage, record)
        if document is None:
            return True
        if isinstance(document, Manifest) and any(
            layer.digest not in self._blobs for layer in document.layers
        ):
            return False
        stored = self._blobs.keys() & names_of(document)
        return stored.issubset(self._named.get(digest, ())) or is_labelled(record)

    def _is_layer_right(self, key: str) -> bool:
        """Of one that stands on nothing but tars, and was never written to."""
        row = self._layers.get(key)
        if row is None or key in self._mixed or row.diff_id is None or row.frozen:
            return False
        return self._has_form(Digest(row.diff_id))

    def _has_form(self, diff_id: Digest) -> bool:
        """Whether a layer can be mounted, without verifying what another boot wrote."""
        whole = {
            record.kind
            for record in self._whole_forms(diff_id)
            if record.writer_version == forms.WRITER_VERSION
            and (record.durable or record.boot_id == self._boot_id)
        }
        return "tar" in whole or (forms.CHANGESET in whole and not whole.isdisjoint(_TREES))

    def _is_form_right(self, key: str) -> bool:
        diff_id = Digest(key)
        records = self._forms.get(diff_id)
        return records is not None and len(records) == len(self._whole_forms(diff_id))

    def _whole_forms(self, diff_id: Digest) -> Sequence[DerivedRecord]:
        """The records of a layer's forms that its files agree with: asked of layers and forms."""
        if diff_id not in self._whole:
            folder = self._storage.places.form(diff_id)
            records = self._forms.get(diff_id, ())
            self._whole[diff_id] = [each for each in records if self._agrees(each, folder)]
        return self._whole[diff_id]

    def _agrees(self, record: DerivedRecord, folder: Path) -> bool:
        return wrong_with(self._examination, record, folder / record.kind) is None

    def _is_chain_right(self, key: str) -> bool:
        source = Digest(key)
        records, diff_ids = self._chains.get(source, ()), self._stacks.get(source, ())
        folder = self._storage.places.chain(source)
        if diff_ids and chain_id(map(Digest, diff_ids)) != source:
            return False
        if not records:
            return not folder.is_dir()
        return all(self._agrees(record, folder) for record in records)


_TREES: Final = ("diff", "base")


def _grouped(tx: Transaction, sql: str) -> dict[str, list[str]]:
    """The second column by the first, by which the rows are in order."""
    rows = groupby(tx.rows(sql), itemgetter(0))
    return {key: [row[1] for row in found] for key, found in rows}


def _by_source(records: Iterable[DerivedRecord]) -> dict[Digest, list[DerivedRecord]]:
    return {key: list(found) for key, found in groupby(records, attrgetter("source"))}


class _Layer(NamedTuple):
    """What a layer is by its record; no whole record, as there are many."""

    parent: str | None
    diff_id: str | None
    chain_id: str | None
    frozen: int


_LAYERS: Final = "SELECT id, parent, diff_id, chain_id, frozen FROM layers"


def _on_no_tars(layers: dict[str, _Layer]) -> set[str]:
    """The layers that are not what their chainIDs say by the records, and all that stand on them.

    Directories, which have no chainIDs of their own, are among these.
    """
    children: dict[str, list[str]] = defaultdict(list)
    for key, row in layers.items():
        if row.parent is not None:
            children[row.parent].append(key)
    pending = [key for key, row in layers.items() if not _is_chained(layers, row)]
    found = set(pending)
    while pending:
        fresh = [each for each in children.get(pending.pop(), ()) if each not in found]
        found.update(fresh)
        pending += fresh
    return found


def _is_chained(layers: dict[str, _Layer], row: _Layer) -> bool:
    if row.diff_id is None:
        return False
    if row.parent is None:
        return row.chain_id == row.diff_id
    below = layers[row.parent].chain_id if row.parent in layers else None
    return below is not None and row.chain_id == chain_on(Digest(below), Digest(row.diff_id))
