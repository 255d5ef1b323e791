"""What is garbage, asked in three ways: of the collector, of one thing, and of a naive model."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.metadata import (
    ContainerRow,
    Containers,
    Database,
    LayerRow,
    Layers,
    StoredImageRow,
    StoredImages,
)
from orlop.metadata.graph import NODE_KINDS, Graph, is_kept, mark, read_graph

GC = "containerd.io/gc."
POOL = [Digest.of(b"%d" % number) for number in range(5)]
NAMES = ["a", "b", "c"]
LAYERS = [*(key.encoded for key in POOL[:3]), "own", "other"]
"""IDs of layers: those of stacks that came with images, and others."""
LEASES = ["lease", "flat"]
PAST, FUTURE, NOW = "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", 1_700_000_000 * 10**9

keys = st.sampled_from(POOL)
names = st.sampled_from(NAMES)
sets = st.frozensets(keys, max_size=4)
pairs = st.frozensets(st.tuples(keys, keys), max_size=4)
maybe = st.none() | keys
SUFFIXES = {
    "content": ["", ".x", "/x", "bad"],
    "image": ["", ".x", "/x", "bad"],
    "snapshot": ["", ".overlayfs", ".any/x"],
}
VALUES = {"content": keys, "image": st.sampled_from([*NAMES, "ghost"]), "snapshot": keys}
references = st.sampled_from(list(SUFFIXES)).flatmap(
    lambda kind: st.tuples(
        st.builds(
            "{}{}.{}{}".format,
            st.just(GC),
            st.sampled_from(["ref", "bref"]),
            st.just(kind),
            st.sampled_from(SUFFIXES[kind]),
        ),
        VALUES[kind] | st.just("nonsense"),
    )
)
others = st.sampled_from(
    [
        (f"{GC}root", "x"),
        (f"{GC}rootless", "x"),
        (f"{GC}flat", "x"),
        (f"{GC}expire", FUTURE),
        (f"{GC}expire", "nonsense"),
        ("other", "x"),
    ]
)
expired = st.just((f"{GC}expire", PAST))
labels = st.fixed_dictionaries(
    {
        **{key: st.lists(references | others, max_size=2).map(dict) for key in POOL},
        **{name: st.lists(references | expired | others, max_size=3).map(dict) for name in NAMES},
        **{lease: st.lists(references | others, max_size=1).map(dict) for lease in LEASES},
    }
)
items = st.frozensets(
    st.tuples(st.sampled_from(["blob", "form", "chain", "ingest"]), keys), max_size=1
)
rows = st.fixed_dictionaries(
    {
        "parent": st.none() | st.sampled_from([*LAYERS, "ghost"]),
        "diff_id": maybe,
        "source": maybe,
        "chain_id": maybe,
        "form": st.sampled_from([None, "diff"]),
        "pinned": st.booleans(),
    }
)
layer_ids = st.sampled_from([*LAYERS, "ghost"])
stored = st.tuples(st.none() | layer_ids, st.booleans(), maybe, maybe, maybe)
worlds = st.fixed_dictionaries(
    {
        "rows": st.dictionaries(st.sampled_from(LAYERS), rows, max_size=4),
        "stored": st.dictionaries(st.sampled_from("xy"), stored),
        "containers": st.dictionaries(
            st.sampled_from("xy"), st.tuples(layer_ids, maybe, maybe), max_size=1
        ),
        "layer mounts": st.lists(layer_ids, max_size=1),
        "blobs": st.frozensets(keys),
        "edges": pairs,
        "forms": st.frozensets(keys),
        "chains": sets,
        "layers": pairs,
        "images": st.dictionaries(names, st.tuples(keys, maybe, keys, maybe)),
        "mounts": st.lists(maybe, max_size=1),
        "lease": items,
        "flat": items,
        "labels": labels,
    }
)


def normal(world):
    """Only what is recorded has edges and labels; the second lease is flat."""
    stored = world["blobs"]
    owners = {*stored, *world["images"], "lease", "flat"}
    labels = {owner: found for owner, found in world["labels"].items() if owner in owners}
    labels["flat"] = {**labels.get("flat", {}), f"{GC}flat": "x"}
    return world | {
        "edges": {(a, b) for a, b in world["edges"] if a in stored},
        "labels": labels,
    }


def target_of(key):
    """What a reference names: the kind of its label, told by the letters of the key alone."""
    for prefix, kind in (("content", "blob"), ("image", "image")):
        rest = key.removeprefix(prefix)
        if rest != key:
            return kind if not rest or rest[0] in "./" else None
    return "chain" if key.startswith("snapshot.") and key != "snapshot." else None


def kept_by_model(world):
    """Rules applied until nothing changes."""
    kept, flat, rules = set(), set(), []
    for owner in LEASES:
        is_flat = f"{GC}flat" in world["labels"].get(owner, {})
        for item in world[owner]:
            (flat if is_flat and item[0] == "blob" else kept).add(item)
    for name, (target, manifest, image_id, chain) in world["images"].items():
        if world["labels"].get(name, {}).get(f"{GC}expire") != PAST:
            kept.add(("image", name))
        for item in (("blob", target), ("blob", manifest), ("blob", image_id), ("chain", chain)):
            rules.append((("image", name), item))
    kept |= {("chain", chain) for chain in world["mounts"]}
    kept |= {("held", layer) for layer in world["layer mounts"]}
    for layer, manifest, config in world["containers"].values():
        kept |= {("held", layer), ("blob", manifest), ("blob", config)}
    for layer, made, *documents in world["stored"].values():
        if made:
            kept |= {("held", layer), *(("blob", document) for document in documents)}
            kept.add(("chain", world["rows"].get(layer, {}).get("chain_id")))
    rules += rules_of_layers(world["rows"])
    kept |= {("held", key) for key, row in world["rows"].items() if row["pinned"]}
    for owner, found in world["labels"].items():
        me = ("image" if owner in NAMES else "blob", owner)
        for key, value in found.items():
            if key == f"{GC}root" and me[0] == "blob":
                kept.add(me)
            direction, _, what = key.removeprefix(GC).partition(".")
            kind = target_of(what)
            if not key.startswith(GC) or kind is None:
                continue
            if kind == "image" and value not in world["images"]:
                continue
            if direction == "ref" and owner in LEASES:
                kept.add((kind, value))
            elif direction == "ref":
                rules.append((me, (kind, value)))
            elif direction == "bref":
                rules.append(((kind, value), me))
    rules += [(("blob", parent), ("blob", child)) for parent, child in world["edges"]]
    rules += [(("chain", chain), ("form", layer)) for chain, layer in world["layers"]]
    while True:
        more = {below for above, below in rules if above in kept} - kept
        if not more:
            return kept | flat
        kept |= more


def rules_of_layers(rows):
    """What layers need: as they are listed, or held with all that they are made of."""
    for key, row in rows.items():
        if row["chain_id"] is not None and row["chain_id"].encoded == key:
            yield ("chain", row["chain_id"]), ("layer", key)
        yield ("layer", key), ("layer", row["parent"])
        yield ("held", key), ("layer", key)
        yield ("held", key), ("held", row["parent"])
        yield ("held", key), ("form", row["diff_id"])
        yield ("held", key), ("blob", row["diff_id"])
        yield ("held", key), ("blob", row["source"])
        if row["form"] is not None:
            yield ("held", key), ("chain", row["chain_id"])
            yield ("held", key), ("chain", rows.get(row["parent"], {}).get("chain_id"))


def recorded(world):
    chains = world["chains"] | {chain for chain, _ in world["layers"]}
    found = {"blob": world["blobs"], "form": world["forms"], "chain": chains}
    found["image"] = world["images"]
    found["layer"] = world["rows"]
    return {(kind, key) for kind, all_of_it in found.items() for key in all_of_it}


def fill(tx, world):
    for digest in world["blobs"]:
        tx.execute("INSERT INTO blobs VALUES (?, 1, '', 1, 1)", (digest,))
    tx.execute_many("INSERT INTO edges VALUES (?, ?)", sorted(world["edges"]))
    for digest in world["forms"]:
        tx.execute("INSERT INTO forms VALUES (?, 'tar', 1, NULL, '', 1, 1)", (digest,))
    for digest in world["chains"]:
        tx.execute("INSERT INTO chains VALUES (?, 'index', 1, NULL, '', 1, 1)", (digest,))
    for ordinal, (chain, layer) in enumerate(sorted(world["layers"])):
        tx.execute("INSERT INTO chain_layers VALUES (?, ?, ?)", (chain, ordinal, layer))
    for name, (target, manifest, image_id, chain) in world["images"].items():
        tx.execute(
            "INSERT INTO images VALUES (?, '', ?, ?, ?, ?, '', 1, 1, 1)",
            (name, target, manifest, image_id, chain),
        )
    for number, chain in enumerate(world["mounts"]):
        tx.execute(
            "INSERT INTO mounts (id, chain_id, target, driver, boot_id, mount_namespace, mount_id,"
            " created_at_ns) VALUES (?, ?, ?, '', '', 1, 1, 1)",
            (str(number), chain, str(number)),
        )
    for number, layer in enumerate(world["layer mounts"]):
        tx.execute(
            "INSERT INTO mounts (id, layer, target, driver, boot_id, mount_namespace, mount_id,"
            " created_at_ns) VALUES (?, ?, ?, '', '', 1, 1, 1)",
            (f"layer-{number}", layer, f"layer-{number}"),
        )
    fill_stored(tx, world)
    for lease in LEASES:
        tx.execute("INSERT INTO leases VALUES (?, 0, 0, 0, '', 1, NULL)", (lease,))
        for kind, key in world[lease]:
            tx.execute("INSERT INTO lease_items VALUES (?, ?, ?)", (lease, kind, key))
    # Not by `Labels`, which refuses what the collector could not obey: others may have written it.
    for owner, found in world["labels"].items():
        table = "lease" if owner in LEASES else "image" if owner in NAMES else "blob"
        for key, value in found.items():
            tx.execute(f"INSERT INTO {table}_labels VALUES (?, ?, ?)", (owner, key, value))


def fill_stored(tx, world):
    for key, row in world["rows"].items():
        Layers(tx).create(LayerRow(id=key, created_at_ns=1, **row))
    for key, (layer, made, target, manifest, config) in world["stored"].items():
        stored = StoredImageRow(
            id=key, layer=layer, made=made, target="" if made else None, target_digest=target,
            manifest_digest=manifest, config_digest=config, created_at_ns=1,
        )  # fmt: skip
        StoredImages(tx).put(stored)
    for key, (layer, manifest, config) in world["containers"].items():
        container = ContainerRow(
            id=key, layer=layer, manifest_digest=manifest, config_digest=config, created_at_ns=1
        )
        Containers(tx).create(container)


class UndoError(Exception):
    """Leaves a transaction without a trace."""


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    with Database.open(tmp_path_factory.mktemp("marking") / "orlop.db") as database:
        yield database


@settings(max_examples=300, deadline=None)
@given(world=worlds)
def test_three_ways_agree(database, world):
    """A record is garbage if and only if no chain of rules leads to it from a root."""
    world = normal(world)
    kept = kept_by_model(world)
    try:
        with database.write() as tx:
            fill(tx, world)
            garbage = mark(read_graph(tx, now_ns=NOW))
            for node in recorded(world):
                assert is_kept(tx, *node, now_ns=NOW) == (node in kept), node
            raise UndoError
    except UndoError:
        pass
    assert garbage == recorded(world) - kept
    assert {kind for kind, _ in garbage} <= set(NODE_KINDS)


@settings(max_examples=50, deadline=None)
@given(length=st.integers(1, 3000))
def test_length_of_a_path_does_not_matter(length):
    """However far from its root, what a root leads to is kept."""
    nodes = [("blob", str(number)) for number in range(length)]
    graph = Graph(
        nodes=frozenset([*nodes, ("blob", "alone")]),
        references={above: [below] for above, below in pairwise(nodes)},
        roots=frozenset([("blob", "0")]),
    )
    assert mark(graph) == {("blob", "alone")}
