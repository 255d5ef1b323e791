"""The collector: forgets and frees what nothing keeps, beside running pulls and readers.

1. Leases that have ended and mounts of another boot are forgotten.
2. One snapshot is marked. What no root keeps is asked for again, and its records are deleted, a
   hundred in one short transaction. Such a transaction outlives power loss (synchronous=FULL).
3. Files that no record names are moved to the trash, a hundred under one short transaction, which
   keeps others from recording them meanwhile. These are the files of step 2, of an earlier
   collector that was killed there, and of writers that were killed before they recorded them.
4. Ingests that rest are dropped, and the trash is emptied, outside every lock.

After a crash at any point no record names a file that is gone, and the next run does the rest.
A plan says what all this would do, from one snapshot, and does nothing.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, final

from orlop._sys.process import boot_id
from orlop.digest import Digest
from orlop.metadata.blobs import Blobs
from orlop.metadata.collected import Collected, Item
from orlop.metadata.derived import Chains, Forms
from orlop.metadata.graph import NODE_KINDS, is_kept, mark, read_graph
from orlop.metadata.images import Images
from orlop.metadata.layers import Layers
from orlop.metadata.leases import Leases, is_live
from orlop.metadata.objects import BigData, Names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from orlop.content import ContentStore
    from orlop.metadata.collected import ItemKind
    from orlop.metadata.database import Database, Transaction
    from orlop.metadata.graph import Node
    from orlop.metadata.leases import Kind, LeaseRecord

Thing = TypeVar("Thing")

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


class Measure(Protocol):
    """What says how large things are that go."""

    def __call__(self, kind: ItemKind, key: str) -> int:
        """Bytes on the disk that are free once this goes, after all that was asked for before."""


def collect(
    database: Database,
    content: ContentStore,
    *,
    forms: Place | None = None,
    chains: Place | None = None,
    ingest_keep_ns: int = INGEST_KEEP_TIME,
    now_ns: Callable[[], int] = time.time_ns,
    measure: Measure | None = None,
    dry_run: bool = False,
    unmounted: Collection[str] = (),
    planned: set[Node] | None = None,
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
        measure: What says how large things are; where None, blobs have their length.
        dry_run: Free nothing and write nothing; what it returns is what would go.
        unmounted: For a dry run, mounts of this boot that would go before.
        planned: For a dry run, what takes the records that would be forgotten.

    Raises:
        OSError: The database or a file could not be written.
    """
    collector = _Collector(
        database,
        content,
        {"blob": content, "form": forms, "chain": chains},
        measure or _Lengths(content),
        now_ns(),
        ingest_keep_ns,
    )
    if not dry_run:
        return Collected.of(collector.run())
    return Collected.of(collector.plan(unmounted, set() if planned is None else planned))


@final
class _Collector:
    """One collection."""

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        places: dict[Kind, Place | None],
        measure: Measure,
        now_ns: int,
        ingest_keep_ns: int,
    ) -> None:
        self._database = database
        self._content = content
        self._places = {kind: place for kind, place in places.items() if place is not None}
        self._measure = measure
        self._now_ns = now_ns
        self._resting_since = now_ns - ingest_keep_ns

    def run(self) -> Iterator[Item]:
        """Do it; what is gone."""
        yield from forget_holders(self._database, self._now_ns)
        yield from self._forget_garbage()
        for kind in self._places:
            yield from self._clear(kind)
        yield from self._drop_ingests()
        self._content.empty_trash()

    def plan(self, unmounted: Collection[str], planned: set[Node]) -> Iterator[Item]:
        """Say what `run` would do."""
        # Before the records, as in `_clear`: what is there and named later is under way.
        present = {kind: list(place.iter_digests()) for kind, place in self._places.items()}
        with self._database.read() as tx:
            ended = {record.id for record in ended_leases(tx, self._now_ns)}
            stale = _stale_mounts(tx)
            gone = {*unmounted, *stale}
            garbage = mark(read_graph(tx, now_ns=self._now_ns, ended=ended, unmounted=gone))
            named = {kind: _named(tx, kind, garbage, ended) for kind in self._places}
            leased = _leased_ingests(tx, ended)
        planned |= garbage
        yield from (Item(kind="lease", key=key) for key in sorted(ended))
        yield from (Item(kind="mount", key=target) for target in stale.values())
        yield from (Item(kind="image", key=key) for kind, key in sorted(garbage) if kind == "image")
        for kind, digests in present.items():
            for digest in digests:
                if digest not in named[kind]:
                    yield self._item(kind, digest)
        yield from (self._item("ingest", each) for each in self._resting_ingests(leased))

    def _forget_garbage(self) -> Iterator[Item]:
        with self._database.read() as tx:
            garbage = mark(read_graph(tx, now_ns=self._now_ns))
        # Blobs in no order: a document and what it names are garbage alike.
        order = sorted(garbage, key=lambda node: (NODE_KINDS.index(node[0]), node[1]))
        for batch in _batches(order):
            with self._database.write() as tx:
                gone = [node for node in batch if not is_kept(tx, *node, now_ns=self._now_ns)]
                for node in gone:
                    _forget(tx, node)
            yield from (Item(kind="image", key=key) for kind, key in gone if kind == "image")

    def _clear(self, kind: Kind) -> Iterator[Item]:
        """Move files that neither a record nor a lease names to the trash."""
        place = self._places[kind]
        present = list(place.iter_digests())
        with self._database.read() as tx:
            named = _named(tx, kind)
        for batch in _batches(digest for digest in present if digest not in named):
            # Measured first: a directory may be large, and the transaction is to be short.
            items = [(digest, self._item(kind, digest)) for digest in batch]
            with self._database.write() as tx:
                gone = [
                    item
                    for digest, item in items
                    if not is_named(tx, kind, digest) and place.delete(digest)
                ]
            yield from gone

    def _drop_ingests(self) -> list[Item]:
        with self._database.read() as tx:
            leased = _leased_ingests(tx)
        items = [self._item("ingest", each) for each in self._resting_ingests(leased)]
        self._content.prune_ingests(self._resting_since, leased)
        left = {status.reference for status in self._content.statuses()} if items else ()
        return [item for item in items if item.key not in left]

    def _resting_ingests(self, leased: Collection[str]) -> list[str]:
        return [
            status.reference
            for status in self._content.statuses()
            if status.updated_ns < self._resting_since and status.reference not in leased
        ]

    def _item(self, kind: Kind, key: str) -> Item:
        return Item(kind=kind, key=key, size=self._measure(kind, key))


@final
class _Lengths:
    """What measures blobs by their length, where nothing is known of disks."""

    def __init__(self, content: ContentStore) -> None:
        self._content = content

    def __call__(self, kind: ItemKind, key: str) -> int:
        info = self._content.stat(Digest(key)) if kind == "blob" else None
        return 0 if info is None else info.size


def forget_holders(database: Database, now_ns: int) -> list[Item]:
    """Forget leases that have ended and mounts of other boots; which."""
    with database.read() as tx:
        ended = ended_leases(tx, now_ns)
        stale = _stale_mounts(tx)
    if not ended and not stale:
        return []
    with database.write() as tx:
        # One may have been prolonged meanwhile: it is another record then.
        gone = [
            record.id
            for record in sorted(ended, key=lambda record: record.id)
            if Leases(tx).get(record.id) == record and Leases(tx).delete(record.id)
        ]
        stale = _stale_mounts(tx)
        tx.execute("DELETE FROM mounts WHERE boot_id <> ?", (boot_id(),))
    return [
        *(Item(kind="lease", key=key) for key in gone),
        *(Item(kind="mount", key=target) for target in stale.values()),
    ]


def ended_leases(tx: Transaction, now_ns: int) -> list[LeaseRecord]:
    """The leases that keep nothing any more, though they are recorded."""
    return [record for record in Leases(tx).list() if not is_live(record, now_ns)]


def _stale_mounts(tx: Transaction) -> dict[str, str]:
    """The mounts of other boots, and where they were."""
    sql = "SELECT id, target FROM mounts WHERE boot_id <> ? ORDER BY id"
    return {row[0]: row[1] for row in tx.rows(sql, (boot_id(),))}


def _forget(tx: Transaction, node: Node) -> None:
    kind, key = node
    if kind == "image":
        Images(tx).delete(key)
    elif kind == "blob":
        Blobs(tx).delete(Digest(key))
    elif kind == "layer":
        Layers(tx).delete(key)
        Names(tx).clear("layer", key)
        BigData(tx).clear("layer", key)
    elif kind == "form":
        Forms(tx).delete(Digest(key))
    else:
        Chains(tx).delete(Digest(key))
        Chains(tx).delete_layers(Digest(key))


_NAMES: Final = {
    "blob": "SELECT digest FROM blobs",
    "form": "SELECT DISTINCT diff_id FROM forms",
    "chain": "SELECT DISTINCT chain_id FROM chains",
}
_NAMED: Final = {
    "blob": "SELECT 1 FROM blobs WHERE digest = ?",
    "form": "SELECT 1 FROM forms WHERE diff_id = ?",
    "chain": "SELECT 1 FROM chains WHERE chain_id = ?",
}
_LEASED: Final = "SELECT 1 FROM lease_items WHERE kind = ? AND key = ?"


def _named(
    tx: Transaction, kind: Kind, garbage: Collection[Node] = (), ended: Collection[str] = ()
) -> set[str]:
    """All that records and leases name, but for what is garbage and by leases that have ended."""
    named = {row[0] for row in tx.rows(_NAMES[kind])}
    named -= {key for what, key in garbage if what == kind}
    return named | _leased(tx, kind, ended)


def is_named(tx: Transaction, kind: Kind, key: Digest) -> bool:
    """Whether a record or a lease names a blob, a form or a chain."""
    return tx.row(_NAMED[kind], (key,)) is not None or tx.row(_LEASED, (kind, key)) is not None


def _leased(tx: Transaction, kind: Kind, ended: Collection[str] = ()) -> set[str]:
    rows = tx.rows("SELECT lease, key FROM lease_items WHERE kind = ?", (kind,))
    return {key for lease, key in rows if lease not in ended}


def _leased_ingests(tx: Transaction, ended: Collection[str] = ()) -> frozenset[str]:
    return frozenset(_leased(tx, "ingest", ended))


def _batches(things: Iterable[Thing]) -> Iterator[list[Thing]]:
    iterator = iter(things)
    while batch := list(islice(iterator, BATCH)):
        yield batch
