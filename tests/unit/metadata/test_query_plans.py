"""That a store of ten thousand images answers like one of ten: no lookup reads a whole table."""

import pytest

from orlop.digest import Digest
from orlop.metadata import Blobs, Chains, Database, Forms, Images, Labels, Leases, Mounts
from orlop.metadata.gc import _LEASED, _NAMED
from orlop.metadata.graph import NODE_KINDS, is_kept

DIGEST = Digest.of(b"x")


class Explaining:
    """A transaction that collects the plans of what it is asked, and answers nothing."""

    def __init__(self, tx):
        self.tx = tx
        self.plans = []

    def rows(self, sql, values=()):
        self.plans += [row[3] for row in self.tx.rows(f"EXPLAIN QUERY PLAN {sql}", values)]
        return []

    def row(self, sql, values=()):
        self.rows(sql, values)

    def execute(self, sql, values=()):
        self.rows(sql, values)
        return 0


@pytest.fixture
def tx(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database, database.read() as tx:
        yield Explaining(tx)


LOOKUPS = {
    "image by name": lambda tx: Images(tx).get("x"),
    "images by prefix": lambda tx: Images(tx).list("x", after="y", limit=10),
    "images by ID": lambda tx: Images(tx).with_id(DIGEST),
    "images by prefix of ID": lambda tx: Images(tx).with_id_prefix("00"),
    "images by target": lambda tx: Images(tx).with_target(DIGEST),
    "some images": lambda tx: Images(tx).find(names=["x"]),
    "images by prefix and label": lambda tx: Images(tx).find(name_prefix="x", label=("k", "v")),
    "images by label": lambda tx: Images(tx).find(label=("k", None)),
    "images by value of a label": lambda tx: Images(tx).find(label=("k", "v")),
    "images by target and label": lambda tx: Images(tx).find(
        target_digest=DIGEST, label=("k", "v")
    ),
    "labels": lambda tx: Labels(tx).get("image", "x"),
    "owners of a label": lambda tx: Labels(tx).find("blob", "k"),
    "replace labels": lambda tx: Labels(tx).replace("lease", "x", {"k": "v"}),
    "delete an image": lambda tx: Images(tx).delete("x", target_digest=DIGEST),
    "blob": lambda tx: Blobs(tx).get(DIGEST),
    "blobs behind one": lambda tx: Blobs(tx).list(after="x", limit=10),
    "children of a blob": lambda tx: Blobs(tx).children(DIGEST),
    "delete a blob": lambda tx: Blobs(tx).delete(DIGEST),
    "form": lambda tx: Forms(tx).get(DIGEST, "tar"),
    "forms": lambda tx: Forms(tx).list(DIGEST),
    "chain": lambda tx: Chains(tx).get(DIGEST, "index"),
    "layers of a chain": lambda tx: Chains(tx).layers(DIGEST),
    "lease": lambda tx: Leases(tx).get("x"),
    "items of a lease": lambda tx: Leases(tx).items("x"),
    "end a lease": lambda tx: Leases(tx).delete("x"),
    "mount by place": lambda tx: Mounts(tx).at("/x", "b", 1),
    "holders of a mount": lambda tx: Mounts(tx).holders("x"),
    **{f"kept {kind}": lambda tx, kind=kind: is_kept(tx, kind, "x") for kind in NODE_KINDS},
    **{f"named {kind}": lambda tx, sql=sql: tx.row(sql, ("x",)) for kind, sql in _NAMED.items()},
    "leased": lambda tx: tx.row(_LEASED, ("blob", "x")),
}


SORTED = {"holders of a mount", "owners of a label"}
"""What sorts the handful that an index has found."""


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_lookup_uses_an_index(tx, lookup):
    LOOKUPS[lookup](tx)
    assert tx.plans
    scans = {plan for plan in tx.plans if plan.startswith("SCAN")}
    # What an index has found already, or the caller has given.
    assert scans <= {"SCAN above", "SCAN CONSTANT ROW", "SCAN json_each VIRTUAL TABLE INDEX 1:"}
    sorts = [plan for plan in tx.plans if "TEMP B-TREE" in plan]
    assert len(sorts) == (lookup in SORTED)
