"""What keeps what: the marking of the collector.

    image ──► its target, manifest and config (blobs), its chain
    stored image ──► the same, and its top layer, held
    container ──► its layer, held; its manifest and config
    mount ──► its chain; its layer, held
    lease ──► what it lists; if it is flat, without what its blobs name
    blob  ──► the blobs that it names
    chain ──► its topmost layer, the forms of its layers
    layer ──► its parent
    layer, held ──► the layer; its parent, held; its form, and the blobs that it is unpacked from;
              if it has a directory, its chain and its parent's, which that directory stands on

    label gc.ref.… of an image, a blob or a lease ──► the blob, image or chain that it names
    the blob, image or chain that a label gc.bref.… names ──► the image or blob that has the label

Roots are images that have not expired, stored images, containers, layers that are pinned (held),
mounts, leases, and blobs with the label gc.root. `mark` goes down from them over a snapshot of
everything. `is_kept` goes up from one thing, as a transaction sees it now; the collector asks it
before it forgets anything.

Layers keep nothing but layers, and forms keep nothing; most of what is recorded is such. So `mark`
looks at them last, and they are no nodes among the others.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal

from orlop.metadata.gclabels import GC_EXPIRE, GC_FLAT, GC_ROOT
from orlop.timestamp import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from orlop.metadata.database import Transaction

NodeKind = Literal["image", "layer", "held", "chain", "form", "blob"]
"""What is marked: an image by name, a layer by ID, that with all that it needs, a stack by chainID,
forms by diffID, a blob."""

Node = tuple[NodeKind, str]

NODE_KINDS: Final[tuple[NodeKind, ...]] = ("image", "layer", "held", "chain", "form", "blob")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A snapshot of all records, as far as they keep each other.

    Attributes:
        nodes: The images, blobs and chains that are recorded.
        layers: The layers by ID, each with its parent and its chainID.
        forms: The forms by diffID.
        stacks: The chains, each with each of the layers that it keeps the forms of.
        references: For each thing what else it keeps, whether that is recorded or not.
        roots: What is kept with all that it keeps.
        flat: What is kept alone.
    """

    nodes: frozenset[Node] = frozenset()
    layers: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    forms: frozenset[str] = frozenset()
    stacks: Collection[tuple[str, str]] = ()
    references: Mapping[Node, Iterable[Node]] = field(default_factory=dict)
    roots: frozenset[Node] = frozenset()
    flat: frozenset[Node] = frozenset()


def mark(graph: Graph) -> frozenset[Node]:
    """What is recorded, and no root keeps."""
    kept = _closure(graph.roots, graph.references)
    layers = graph.layers.keys() - _kept_layers(graph.layers, kept)
    forms = graph.forms.difference(form for stack, form in graph.stacks if ("chain", stack) in kept)
    below: Iterator[Node] = chain((("layer", id) for id in layers), (("form", id) for id in forms))  # noqa: A001
    return graph.nodes.union(below) - kept - graph.flat


def read_graph(
    tx: Transaction,
    *,
    now_ns: int = 0,
    ended: Collection[str] = (),
    unmounted: Collection[str] = (),
) -> Graph:
    """All records, as far as they keep each other.

    Args:
        tx: The transaction.
        now_ns: The time at which images have expired or not.
        ended: Leases that keep nothing any more.
        unmounted: Mounts that keep nothing any more.
    """
    references = _references(tx)
    images = frozenset(node for node in references if node[0] == "image")
    items = [(flat, node) for lease, flat, node in _lease_items(tx) if lease not in ended]
    return Graph(
        nodes=images.union(_nodes(tx, _RECORDED)),
        layers={id: (parent, chain_id) for id, parent, chain_id in tx.rows(_LAYERS)},  # noqa: A001
        forms=frozenset(row[0] for row in tx.rows("SELECT DISTINCT diff_id FROM forms")),
        stacks=[(row[0], row[1]) for row in tx.rows("SELECT chain_id, diff_id FROM chain_layers")],
        references=references,
        roots=frozenset(
            chain(
                images - _expired(tx, now_ns),
                (node for flat, node in items if not flat),
                ((kind, key) for id, kind, key in tx.rows(_MOUNTED) if id not in unmounted),  # noqa: A001
                _nodes(tx, _STORED_ROOTS),
                _nodes(tx, _LABELLED_ROOTS, (GC_ROOT,)),
            )
        ),
        flat=frozenset(node for flat, node in items if flat),
    )


def is_kept(tx: Transaction, kind: NodeKind, key: str, now_ns: int = 0) -> bool:
    """Whether a root keeps this; all leases and mounts that are recorded count.

    Args:
        tx: The transaction.
        kind: What it is.
        key: Its name, which is recorded.
        now_ns: The time at which images have expired or not.
    """
    return tx.row(KEPT, {"kind": kind, "key": key, "now": now_ns}) is not None


def _closure(roots: Iterable[Node], references: Mapping[Node, Iterable[Node]]) -> set[Node]:
    seen: set[Node] = set()
    fresh = set(roots)
    while fresh:
        seen |= fresh
        # Most things keep nothing: they are passed over without a step of Python.
        fresh = set(chain.from_iterable(filter(None, map(references.get, fresh)))) - seen
    return seen


def _kept_layers(
    layers: Mapping[str, tuple[str | None, str | None]], kept: Iterable[Node]
) -> set[str]:
    """The layers that kept stacks end in, those that are held, and all that these stand on."""
    seen: set[str] = set()
    for kind, key in kept:
        layer: str | None = None
        if kind == "held":
            layer = key
        elif kind == "chain":
            top = key.partition(":")[2]
            layer = top if layers.get(top, _NO_LAYER)[1] == key else None
        while layer is not None and layer in layers and layer not in seen:
            seen.add(layer)
            layer = layers[layer][0]
    return seen


_NO_LAYER: Final = (None, None)


def _references(tx: Transaction) -> dict[Node, list[Node]]:
    found: dict[Node, list[Node]] = defaultdict(list)
    for name, target, manifest, image_id, stack in tx.rows(_IMAGES):
        blobs = {target, manifest, image_id} - {None}
        found["image", name] = [("blob", digest) for digest in blobs]
        if stack is not None:
            found["image", name].append(("chain", stack))
    for parent, rows in groupby(tx.rows(_EDGES), itemgetter(0)):
        found["blob", parent] = [("blob", child) for _, child in rows]
    for kind, key, other_kind, other in tx.rows(_REFERENCES):
        found[kind, key].append((other_kind, other))
    for kind, key, other_kind, other in tx.rows(_FOLLOWED):
        node: Node = (other_kind, other)
        if other_kind != "image" or node in found:
            found[node].append((kind, key))
    return found


def _lease_items(tx: Transaction) -> Iterator[tuple[str, bool, Node]]:
    flat = {row[0] for row in tx.rows("SELECT lease FROM lease_labels WHERE key = ?", (GC_FLAT,))}
    for lease, kind, key in tx.rows("SELECT lease, kind, key FROM lease_items"):
        if kind != "ingest":
            yield lease, kind == "blob" and lease in flat, (kind, key)
    for lease, kind, key in tx.rows(_LABELLED_ITEMS):
        yield lease, False, (kind, key)


def _expired(tx: Transaction, now_ns: int) -> frozenset[Node]:
    rows = tx.rows("SELECT image, value FROM image_labels WHERE key = ?", (GC_EXPIRE,))
    return frozenset(
        ("image", name)
        for name, value in rows
        if (end := parse_timestamp(value)) is not None and end <= now_ns
    )


def _nodes(tx: Transaction, sql: str, values: tuple[str, ...] = ()) -> Iterator[Node]:
    # SQLite's rows are pairs already.
    return iter(tx.rows(sql, values))


_RECORDED: Final = """
    SELECT 'blob', digest FROM blobs
    UNION ALL SELECT 'chain', chain_id FROM chains
    UNION ALL SELECT 'chain', chain_id
        FROM (SELECT DISTINCT chain_id FROM chain_layers NOT INDEXED)
"""

_LAYERS: Final = "SELECT id, parent, chain_id FROM layers"
_IMAGES: Final = "SELECT name, target_digest, manifest_digest, image_id, chain_id FROM images"
_EDGES: Final = "SELECT parent, child FROM edges ORDER BY parent"

_MOUNTED: Final = """
    SELECT id, 'chain', chain_id FROM mounts WHERE chain_id IS NOT NULL
    UNION ALL SELECT id, 'held', layer FROM mounts WHERE layer IS NOT NULL
"""

_STORED_ROOTS: Final = """
    SELECT 'held', id FROM layers WHERE pinned <> 0
    UNION ALL SELECT 'held', layer FROM containers
    UNION ALL SELECT 'blob', manifest_digest FROM containers WHERE manifest_digest IS NOT NULL
    UNION ALL SELECT 'blob', config_digest FROM containers WHERE config_digest IS NOT NULL
    UNION ALL SELECT 'held', layer FROM stored_images WHERE made AND layer IS NOT NULL
    UNION ALL SELECT 'chain', chain_id FROM stored_images JOIN layers ON layers.id = layer
        WHERE made AND chain_id IS NOT NULL
    UNION ALL SELECT 'blob', target_digest FROM stored_images
        WHERE made AND target_digest IS NOT NULL
    UNION ALL SELECT 'blob', manifest_digest FROM stored_images
        WHERE made AND manifest_digest IS NOT NULL
    UNION ALL SELECT 'blob', config_digest FROM stored_images
        WHERE made AND config_digest IS NOT NULL
"""

# A label's role is such as `keeps blob` or `follows chain`: what is after the space is a kind.
# Of layers only those that are held are listed with what they need: most are those of images.
_REFERENCES: Final = """
    WITH RECURSIVE held (id) AS MATERIALIZED (
        SELECT id FROM layers WHERE pinned <> 0
        UNION SELECT layer FROM containers
        UNION SELECT layer FROM stored_images WHERE made AND layer IS NOT NULL
        UNION SELECT layer FROM mounts WHERE layer IS NOT NULL
        UNION SELECT parent FROM held JOIN layers ON layers.id = held.id
            WHERE parent IS NOT NULL
    )
    SELECT 'held', id, 'held', parent FROM held JOIN layers USING (id)
        WHERE parent IS NOT NULL
    UNION ALL SELECT 'held', id, 'form', diff_id FROM held JOIN layers USING (id)
        WHERE diff_id IS NOT NULL
    UNION ALL SELECT 'held', id, 'blob', diff_id FROM held JOIN layers USING (id)
        WHERE diff_id IS NOT NULL
    UNION ALL SELECT 'held', id, 'blob', source FROM held JOIN layers USING (id)
        WHERE source IS NOT NULL
    UNION ALL SELECT 'held', id, 'chain', chain_id FROM held JOIN layers USING (id)
        WHERE form IS NOT NULL AND chain_id IS NOT NULL
    UNION ALL SELECT 'held', held.id, 'chain', below.chain_id
        FROM held JOIN layers USING (id) JOIN layers AS below ON below.id = layers.parent
        WHERE layers.form IS NOT NULL AND below.chain_id IS NOT NULL
    UNION ALL SELECT 'image', image, substr(role, 7), value FROM image_labels
        WHERE role GLOB 'keeps *'
    UNION ALL SELECT 'blob', blob, substr(role, 7), value FROM blob_labels
        WHERE role GLOB 'keeps *'
"""

_FOLLOWED: Final = """
    SELECT 'image', image, substr(role, 9), value FROM image_labels WHERE role GLOB 'follows *'
    UNION ALL SELECT 'blob', blob, substr(role, 9), value FROM blob_labels
        WHERE role GLOB 'follows *'
"""

_LABELLED_ROOTS: Final = "SELECT 'blob', blob FROM blob_labels WHERE key = ?"

_LABELLED_ITEMS: Final = (
    "SELECT lease, substr(role, 7), value FROM lease_labels WHERE role GLOB 'keeps *'"
)

KEPT: Final = f"""
    WITH RECURSIVE above (what, node) AS (
        SELECT :kind, :key
        UNION SELECT 'chain', chain_id FROM above JOIN chain_layers ON diff_id = node
            WHERE what = 'form'
        UNION SELECT 'held', id FROM above JOIN layers ON diff_id = node
            WHERE what IN ('form', 'blob')
        UNION SELECT 'held', id FROM above JOIN layers ON source = node WHERE what = 'blob'
        UNION SELECT 'held', node FROM above WHERE what = 'layer'
        UNION SELECT what, id FROM above JOIN layers ON parent = node
            WHERE what IN ('layer', 'held')
        UNION SELECT 'held', id FROM above JOIN layers ON chain_id = node
            WHERE what = 'chain' AND form IS NOT NULL
        UNION SELECT 'held', layers.id FROM above
            JOIN layers AS below ON below.chain_id = node JOIN layers ON layers.parent = below.id
            WHERE what = 'chain' AND layers.form IS NOT NULL
        UNION SELECT 'chain', chain_id FROM above JOIN layers ON id = node
            WHERE what = 'layer' AND id = substr(chain_id, instr(chain_id, ':') + 1)
        UNION SELECT 'blob', parent FROM above JOIN edges ON child = node WHERE what = 'blob'
        UNION SELECT 'image', name FROM above JOIN images ON target_digest = node
            WHERE what = 'blob'
        UNION SELECT 'image', name FROM above JOIN images ON manifest_digest = node
            WHERE what = 'blob'
        UNION SELECT 'image', name FROM above JOIN images ON image_id = node WHERE what = 'blob'
        UNION SELECT 'image', name FROM above JOIN images ON chain_id = node WHERE what = 'chain'
        UNION SELECT 'blob', blob FROM above JOIN blob_labels
            ON role = 'keeps ' || what AND value = node
        UNION SELECT 'image', image FROM above JOIN image_labels
            ON role = 'keeps ' || what AND value = node
        UNION SELECT substr(role, 9), value FROM above JOIN blob_labels ON blob = node
            WHERE what = 'blob' AND role IN ('follows blob', 'follows chain')
        UNION SELECT substr(role, 9), value FROM above JOIN image_labels ON image = node
            WHERE what = 'image' AND role IN ('follows blob', 'follows chain')
        UNION SELECT 'image', name
            FROM above JOIN blob_labels ON blob = node JOIN images ON name = value
            WHERE what = 'blob' AND role = 'follows image'
        UNION SELECT 'image', name
            FROM above JOIN image_labels ON image = node JOIN images ON name = value
            WHERE what = 'image' AND role = 'follows image'
    )
    SELECT 1 FROM above WHERE
        EXISTS (SELECT 1 FROM lease_labels WHERE role = 'keeps ' || what AND value = node)
        OR CASE what
            WHEN 'image' THEN NOT EXISTS (
                SELECT 1 FROM image_labels
                WHERE image = node AND key = '{GC_EXPIRE}' AND time_ns(value) <= :now)
            WHEN 'layer' THEN FALSE
            WHEN 'held' THEN
                EXISTS (SELECT 1 FROM layers WHERE id = node AND pinned <> 0)
                OR EXISTS (SELECT 1 FROM containers WHERE layer = node)
                OR EXISTS (SELECT 1 FROM stored_images WHERE layer = node AND made)
                OR EXISTS (SELECT 1 FROM mounts WHERE layer = node)
            WHEN 'chain' THEN
                EXISTS (SELECT 1 FROM mounts WHERE chain_id = node)
                OR EXISTS (SELECT 1 FROM layers JOIN stored_images ON layer = layers.id
                           WHERE chain_id = node AND made)
                OR EXISTS (SELECT 1 FROM lease_items WHERE kind = 'chain' AND key = node)
            WHEN 'form' THEN
                EXISTS (SELECT 1 FROM lease_items WHERE kind = 'form' AND key = node)
            ELSE
                EXISTS (SELECT 1 FROM blob_labels WHERE blob = node AND key = '{GC_ROOT}')
                OR EXISTS (SELECT 1 FROM containers WHERE manifest_digest = node)
                OR EXISTS (SELECT 1 FROM containers WHERE config_digest = node)
                OR EXISTS (SELECT 1 FROM stored_images WHERE made AND target_digest = node)
                OR EXISTS (SELECT 1 FROM stored_images WHERE made AND manifest_digest = node)
                OR EXISTS (SELECT 1 FROM stored_images WHERE made AND config_digest = node)
                OR EXISTS (
                    SELECT 1 FROM lease_items AS item WHERE kind = 'blob' AND item.key = node
                    AND (what = :kind AND node = :key OR NOT EXISTS (
                        SELECT 1 FROM lease_labels AS label
                        WHERE label.lease = item.lease AND label.key = '{GC_FLAT}')))
        END
    LIMIT 1
"""  # noqa: S608 - constants
