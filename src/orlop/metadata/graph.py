"""What keeps what: the marking of the collector.

    image ──► its target, manifest and config (blobs), its chain
    mount ──► its chain
    lease ──► what it lists
    blob  ──► the blobs that it names
    chain ──► the forms of its layers

`mark` goes down from the roots over a snapshot of everything. `is_kept` goes up from one thing, as
a transaction sees it now; the collector asks it before it forgets anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orlop.metadata.database import Transaction
    from orlop.metadata.leases import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A snapshot of all records, as far as they keep each other.

    Attributes:
        blobs: Blobs that are recorded.
        forms: DiffIDs of layers that have recorded forms.
        chains: ChainIDs of stacks that are recorded.
        edges: For each blob what it names.
        layers: For each stack its layers.
        root_blobs: Blobs that images and leases keep.
        root_forms: Layers that leases keep.
        root_chains: Stacks that images, mounts and leases keep.
    """

    blobs: frozenset[str] = frozenset()
    forms: frozenset[str] = frozenset()
    chains: frozenset[str] = frozenset()
    edges: Mapping[str, Iterable[str]] = field(default_factory=dict)
    layers: Mapping[str, Iterable[str]] = field(default_factory=dict)
    root_blobs: frozenset[str] = frozenset()
    root_forms: frozenset[str] = frozenset()
    root_chains: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What no root keeps: digests, diffIDs and chainIDs."""

    blobs: frozenset[str]
    forms: frozenset[str]
    chains: frozenset[str]


def mark(graph: Graph) -> Garbage:
    """What no root keeps."""
    live_blobs = _closure(graph.root_blobs, graph.edges)
    live_forms = set(graph.root_forms)
    for chain in graph.root_chains:
        live_forms.update(graph.layers.get(chain, ()))
    return Garbage(
        blobs=graph.blobs - live_blobs,
        forms=graph.forms - live_forms,
        chains=graph.chains - graph.root_chains,
    )


def read_graph(tx: Transaction) -> Graph:
    """All records, as far as they keep each other."""
    return Graph(
        blobs=_column(tx, "SELECT digest FROM blobs"),
        forms=_column(tx, "SELECT DISTINCT diff_id FROM forms"),
        chains=_column(tx, "SELECT chain_id FROM chains UNION SELECT chain_id FROM chain_layers"),
        edges=_lists(tx, "SELECT parent, child FROM edges"),
        layers=_lists(tx, "SELECT chain_id, diff_id FROM chain_layers"),
        root_blobs=_column(tx, _ROOT_BLOBS),
        root_forms=_column(tx, "SELECT key FROM lease_items WHERE kind = 'form'"),
        root_chains=_column(tx, _ROOT_CHAINS),
    )


def is_kept(tx: Transaction, kind: Kind, key: str) -> bool:
    """Whether a root keeps this."""
    return tx.row(_KEPT[kind], {"key": key}) is not None


def _closure(roots: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    seen = set(roots)
    pending = list(seen)
    while pending:
        fresh = set(edges.get(pending.pop(), ())) - seen
        seen |= fresh
        pending += fresh
    return seen


def _column(tx: Transaction, sql: str) -> frozenset[str]:
    return frozenset(row[0] for row in tx.rows(sql))


def _lists(tx: Transaction, sql: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in tx.rows(sql):
        found.setdefault(key, []).append(value)
    return found


_ROOT_BLOBS: Final = """
    SELECT target_digest FROM images
    UNION SELECT manifest_digest FROM images WHERE manifest_digest IS NOT NULL
    UNION SELECT image_id FROM images
    UNION SELECT key FROM lease_items WHERE kind = 'blob'
"""

_ROOT_CHAINS: Final = """
    SELECT chain_id FROM images WHERE chain_id IS NOT NULL
    UNION SELECT chain_id FROM mounts WHERE chain_id IS NOT NULL
    UNION SELECT key FROM lease_items WHERE kind = 'chain'
"""

_KEPT_BLOB: Final = """
    WITH RECURSIVE above (digest) AS (
        SELECT :key UNION SELECT parent FROM edges JOIN above ON child = digest
    )
    SELECT 1 FROM above WHERE
        EXISTS (SELECT 1 FROM images WHERE target_digest = digest)
        OR EXISTS (SELECT 1 FROM images WHERE manifest_digest = digest)
        OR EXISTS (SELECT 1 FROM images WHERE image_id = digest)
        OR EXISTS (SELECT 1 FROM lease_items WHERE kind = 'blob' AND key = digest)
    LIMIT 1
"""

_KEPT_CHAIN: Final = """
    SELECT 1 WHERE
        EXISTS (SELECT 1 FROM images WHERE chain_id = :key)
        OR EXISTS (SELECT 1 FROM mounts WHERE chain_id = :key)
        OR EXISTS (SELECT 1 FROM lease_items WHERE kind = 'chain' AND key = :key)
"""

_KEPT_FORM: Final = """
    SELECT 1 WHERE EXISTS (SELECT 1 FROM lease_items WHERE kind = 'form' AND key = :key)
    UNION ALL
    SELECT 1 FROM chain_layers AS layer WHERE diff_id = :key AND (
        EXISTS (SELECT 1 FROM images WHERE chain_id = layer.chain_id)
        OR EXISTS (SELECT 1 FROM mounts WHERE chain_id = layer.chain_id)
        OR EXISTS (SELECT 1 FROM lease_items WHERE kind = 'chain' AND key = layer.chain_id))
    LIMIT 1
"""

_KEPT_INGEST: Final = "SELECT 1 FROM lease_items WHERE kind = 'ingest' AND key = :key"

_KEPT: Final[Mapping[Kind, str]] = {
    "blob": _KEPT_BLOB,
    "form": _KEPT_FORM,
    "chain": _KEPT_CHAIN,
    "ingest": _KEPT_INGEST,
}
