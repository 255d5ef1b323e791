"""The collector: forgets and frees what nothing keeps, beside running pulls and readers.

1. Leases whose owner is gone and mounts of another boot are forgotten.
2. One snapshot is marked. What no root keeps is asked for again, and its records are deleted, a
   hundred in one short transaction. Such a transaction outlives power loss (synchronous=FULL).
3. Files that no record names are moved to the trash, a hundred under one short transaction, which
   keeps others from recording them meanwhile. These are the files of step 2, of an earlier
   collector that was killed there, and of writers that were killed before they recorded them.
4. Ingests that rest are dropped, and the trash is emptied, outside every lock.

After a crash at any point no record names a file that is gone, and the next run does the rest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from orlop._sys.process import boot_id
from orlop.digest import Digest
from orlop.metadata.blobs import Blobs
from orlop.metadata.derived import Chains, Forms
from orlop.metadata.graph import is_kept, mark, read_graph
from orlop.metadata.leases import Leases, is_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orlop.content import ContentStore
    from orlop.metadata.database import Database, Transaction
    from orlop.metadata.leases import Kind

Item = TypeVar("Item")

BATCH: Final = 100
"""Things that one transaction of the collector deals with."""

INGEST_KEEP_TIME: Final = 24 * 3600 * 10**9
"""Nanoseconds for which an ingest may rest, to be resumed."""


class Place(Protocol):
    """Where files named by digests lie; `DigestDirectory` and every `ContentStore` are such."""

    def iter_digests(self) -> Iterator[Digest]:
        """All that is there."""

    def delete(self, digest: Digest) -> bool:
        """Make one unreachable in one step; whether it was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """How much a collection has freed.

    Attributes:
        leases: Leases that were forgotten.
        mounts: Mounts that were forgotten.
        blobs: Blobs moved to the trash.
        forms: Layers whose forms were.
        chains: Stacks whose derived files were.
        ingests: Ingests that were dropped.
    """

    leases: int = 0
    mounts: int = 0
    blobs: int = 0
    forms: int = 0
    chains: int = 0
    ingests: int = 0


def collect(
    database: Database,
    content: ContentStore,
    *,
    forms: Place | None = None,
    chains: Place | None = None,
    ingest_keep_ns: int = INGEST_KEEP_TIME,
    now_ns: Callable[[], int] = time.time_ns,
) -> Collected:
    """Free what nothing keeps; what it returns is what is gone.

    It may be killed at any time and run beside others of its kind.

    Args:
        database: The records.
        content: Where the blobs lie: the store itself, not one that keeps records.
        forms: Where what is derived from layers lies, by diffID.
        chains: Where what is derived from stacks lies, by chainID.
        ingest_keep_ns: How long an ingest may rest, in nanoseconds.
        now_ns: The clock, in nanoseconds since 1970.

    Raises:
        OSError: The database or a file could not be written.
    """
    leases, mounts = _forget_holders(database, now_ns())
    _forget_garbage(database)
    result = Collected(
        leases=leases,
        mounts=mounts,
        blobs=_clear(database, "blob", content),
        forms=_clear(database, "form", forms),
        chains=_clear(database, "chain", chains),
        ingests=content.prune_ingests(now_ns() - ingest_keep_ns, _leased_ingests(database)),
    )
    content.empty_trash()
    return result


def _forget_holders(database: Database, now_ns: int) -> tuple[int, int]:
    with database.read() as tx:
        dead = [record for record in Leases(tx).list() if not is_live(record, now_ns)]
        stale = tx.row("SELECT 1 FROM mounts WHERE boot_id <> ? LIMIT 1", (boot_id(),))
    if not dead and stale is None:
        return 0, 0
    with database.write() as tx:
        # One without an owner may have been prolonged meanwhile: it is another record then.
        leases = sum(
            Leases(tx).delete(record.id) for record in dead if Leases(tx).get(record.id) == record
        )
        return leases, tx.execute("DELETE FROM mounts WHERE boot_id <> ?", (boot_id(),))


def _forget_garbage(database: Database) -> None:
    with database.read() as tx:
        garbage = mark(read_graph(tx))
    # Blobs in no order: a document and what it names are garbage alike.
    candidates: list[tuple[Kind, str]] = [("chain", key) for key in sorted(garbage.chains)]
    candidates += [("form", key) for key in sorted(garbage.forms)]
    candidates += [("blob", key) for key in sorted(garbage.blobs)]
    for batch in _batches(candidates):
        with database.write() as tx:
            for kind, key in batch:
                if not is_kept(tx, kind, key):
                    _forget(tx, kind, Digest(key))


def _forget(tx: Transaction, kind: Kind, key: Digest) -> None:
    if kind == "blob":
        Blobs(tx).delete(key)
    elif kind == "form":
        Forms(tx).delete(key)
    else:
        Chains(tx).delete(key)
        Chains(tx).delete_layers(key)


def _clear(database: Database, kind: Kind, place: Place | None) -> int:
    """Move files that neither a record nor a lease names to the trash; how many."""
    if place is None:
        return 0
    present = list(place.iter_digests())
    with database.read() as tx:
        suspects = [key for key in present if not _is_named(tx, kind, key)]
    cleared = 0
    for batch in _batches(suspects):
        with database.write() as tx:
            cleared += sum(place.delete(key) for key in batch if not _is_named(tx, kind, key))
    return cleared


_NAMED: Final = {
    "blob": "SELECT 1 FROM blobs WHERE digest = ?",
    "form": "SELECT 1 FROM forms WHERE diff_id = ?",
    "chain": "SELECT 1 FROM chains WHERE chain_id = ?",
}
_LEASED: Final = "SELECT 1 FROM lease_items WHERE kind = ? AND key = ?"


def _is_named(tx: Transaction, kind: Kind, key: Digest) -> bool:
    return tx.row(_NAMED[kind], (key,)) is not None or tx.row(_LEASED, (kind, key)) is not None


def _leased_ingests(database: Database) -> frozenset[str]:
    with database.read() as tx:
        return frozenset(key for kind, key in Leases(tx).items() if kind == "ingest")


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
