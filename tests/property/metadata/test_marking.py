"""What is garbage, asked in three ways: of the collector, of one thing, and of a naive model."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.metadata import Database
from orlop.metadata.graph import NODE_KINDS, Graph, is_kept, mark, read_graph

GC = "containerd.io/gc."
POOL = [Digest.of(b"%d" % number) for number in range(5)]
NAMES = ["a", "b", "c"]
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
worlds = st.fixed_dictionaries(
    {
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


def recorded(world):
    chains = world["chains"] | {chain for chain, _ in world["layers"]}
    found = {"blob": world["blobs"], "form": world["forms"], "chain": chains}
    found["image"] = world["images"]
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
    for lease in LEASES:
        tx.execute("INSERT INTO leases VALUES (?, 0, 0, 0, '', 1, NULL)", (lease,))
        for kind, key in world[lease]:
            tx.execute("INSERT INTO lease_items VALUES (?, ?, ?)", (lease, kind, key))
    # Not by `Labels`, which refuses what the collector could not obey: others may have written it.
    for owner, found in world["labels"].items():
        table = "lease" if owner in LEASES else "image" if owner in NAMES else "blob"
        for key, value in found.items():
            tx.execute(f"INSERT INTO {table}_labels VALUES (?, ?, ?)", (owner, key, value))


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
