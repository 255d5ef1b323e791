"""What is garbage, asked in three ways: of the collector, of one thing, and of a naive model."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.metadata import Database
from orlop.metadata.graph import Graph, is_kept, mark, read_graph

POOL = [Digest.of(b"%d" % number) for number in range(8)]

keys = st.sampled_from(POOL)
sets = st.frozensets(keys, max_size=4)
pairs = st.frozensets(st.tuples(keys, keys), max_size=12)
maybe = st.none() | keys
worlds = st.fixed_dictionaries(
    {
        "blobs": st.frozensets(keys),
        "edges": pairs,
        "forms": st.frozensets(keys),
        "chains": sets,
        "layers": pairs,
        "images": st.lists(st.tuples(keys, maybe, keys, maybe), max_size=3),
        "mounts": st.lists(maybe, max_size=2),
        "items": st.frozensets(
            st.tuples(st.sampled_from(["blob", "form", "chain", "ingest"]), keys), max_size=3
        ),
    }
)


def kept_by_model(world):
    """Rules applied until nothing changes."""
    kept = {item for item in world["items"] if item[0] != "ingest"}
    for target, manifest, image_id, chain in world["images"]:
        kept |= {("blob", target), ("blob", manifest), ("blob", image_id), ("chain", chain)}
    kept |= {("chain", chain) for chain in world["mounts"]}
    while True:
        more = {("blob", child) for parent, child in world["edges"] if ("blob", parent) in kept}
        more |= {("form", layer) for chain, layer in world["layers"] if ("chain", chain) in kept}
        if more <= kept:
            return kept
        kept |= more


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
    for number, (target, manifest, image_id, chain) in enumerate(world["images"]):
        tx.execute(
            "INSERT INTO images VALUES (?, '', ?, ?, ?, ?, '', 1, 1, 1)",
            (str(number), target, manifest, image_id, chain),
        )
    for number, chain in enumerate(world["mounts"]):
        tx.execute(
            "INSERT INTO mounts (id, chain_id, target, driver, boot_id, mount_namespace, mount_id,"
            " created_at_ns) VALUES (?, ?, ?, '', '', 1, 1, 1)",
            (str(number), chain, str(number)),
        )
    tx.execute("INSERT INTO leases VALUES ('x', 0, 0, 0, '', 1, NULL)")
    for kind, key in world["items"]:
        tx.execute("INSERT INTO lease_items VALUES ('x', ?, ?)", (kind, key))


class UndoError(Exception):
    """Leaves a transaction without a trace."""


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    with Database.open(tmp_path_factory.mktemp("marking") / "orlop.db") as database:
        yield database


@settings(max_examples=200, deadline=None)
@given(world=worlds)
def test_three_ways_agree(database, world):
    """A record is garbage if and only if no chain of rules leads to it from a root."""
    stored = world["blobs"]
    world = world | {"edges": {(a, b) for a, b in world["edges"] if a in stored}}
    kept = kept_by_model(world)
    try:
        with database.write() as tx:
            fill(tx, world)
            garbage = mark(read_graph(tx))
            for kind in ("blob", "form", "chain"):
                for key in POOL:
                    assert is_kept(tx, kind, key) == ((kind, key) in kept)
            raise UndoError
    except UndoError:
        pass
    chains = world["chains"] | {chain for chain, _ in world["layers"]}
    assert garbage.blobs == {key for key in stored if ("blob", key) not in kept}
    assert garbage.forms == {key for key in world["forms"] if ("form", key) not in kept}
    assert garbage.chains == {key for key in chains if ("chain", key) not in kept}


@settings(max_examples=50, deadline=None)
@given(length=st.integers(1, 3000))
def test_length_of_a_path_does_not_matter(length):
    """However far from its root, what a root leads to is kept."""
    names = [str(number) for number in range(length)]
    graph = Graph(
        blobs=frozenset([*names, "alone"]),
        edges={above: [below] for above, below in pairwise(names)},
        root_blobs=frozenset(["0"]),
    )
    assert mark(graph).blobs == {"alone"}
