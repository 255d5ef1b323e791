"""Time what a store of many images costs beside one of ten, in milliseconds.

    python bench/many.py [--images 10000] [--rounds 9] [--keep DIR]

The stores are not pulled but written: records and tiny files, three layers an image, none shared.
Each figure is the median of several runs, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orlop
from orlop._sys.process import boot_id
from orlop.digest import Digest, chain_ids
from orlop.mediatype import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from orlop.metadata import (
    BlobRecord,
    Blobs,
    Chains,
    DerivedRecord,
    Forms,
    ImageRow,
    Images,
    Layers,
    LayerSource,
)
from orlop.spec.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.metadata import Transaction

FEW = 10
LAYERS = 3
GROUP = 10
"""Images that have a label in common: what the list of a filtered ten finds."""


class Writer:
    """Writes images into a store, as a pull would leave them."""

    def __init__(self, root: Path, tx: Transaction) -> None:
        self.root = root
        self.tx = tx

    def image(self, number: int) -> None:
        layers = [self.layer(number, ordinal) for ordinal in range(LAYERS)]
        config = self.blob(f"config {number}", OCI_CONFIG)
        diff_ids = [self.form(number, ordinal) for ordinal in range(LAYERS)]
        chain = self.chain(number, diff_ids)
        text = self.manifest(number)
        manifest = self.blob(text, OCI_MANIFEST, [config, *layers])
        target = Descriptor.of(OCI_MANIFEST, text.encode())
        Images(self.tx).put(
            ImageRow(
                name=name_of(number),
                target=json.dumps(target.encode()),
                target_digest=manifest,
                manifest_digest=manifest,
                image_id=config,
                chain_id=chain,
                platform="linux/amd64",
                size=100,
                created_at_ns=number,
                updated_at_ns=number,
                labels={"group": str(number // GROUP), "team": "sea"},
            )
        )

    def manifest(self, number: int) -> str:
        config = Descriptor.of(OCI_CONFIG, f"config {number}".encode())
        layers = [
            Descriptor.of(OCI_LAYER_GZIP, f"layer {number} {ordinal}".encode())
            for ordinal in range(LAYERS)
        ]
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": config.encode(),
                "layers": [layer.encode() for layer in layers],
            }
        )

    def layer(self, number: int, ordinal: int) -> Digest:
        return self.blob(f"layer {number} {ordinal}", OCI_LAYER_GZIP)

    def blob(self, text: str, media_type: str, children: list[Digest] | None = None) -> Digest:
        digest = self.file("blobs", text, "")
        record = BlobRecord(digest=digest, size=len(text), media_type=media_type, created_at_ns=1)
        Blobs(self.tx).put(record)
        Blobs(self.tx).link(digest, children or [])
        return digest

    def form(self, number: int, ordinal: int) -> Digest:
        text = f"form {number} {ordinal}"
        digest = self.file("forms", text, "tar")
        Forms(self.tx).put(self.derived(digest, "tar", text))
        return digest

    def chain(self, number: int, diff_ids: list[Digest]) -> Digest:
        digest = chain_ids(diff_ids)[-1]
        path = self.root / "chains" / digest.algorithm / digest.encoded / "index.erofs"
        os.makedirs(path.parent, exist_ok=True)
        path.write_text("1")
        Chains(self.tx).put(self.derived(digest, "index.erofs", "1"))
        Chains(self.tx).put_layers(digest, diff_ids)
        sources = [
            LayerSource(
                digest=Digest.of(f"layer {number} {ordinal}".encode()), size=1, compression="gzip"
            )
            for ordinal in range(LAYERS)
        ]
        Layers(self.tx).put_stack(diff_ids, sources, number)
        return digest

    def derived(self, source: Digest, kind: str, text: str) -> DerivedRecord:
        return DerivedRecord(
            source=source,
            kind=kind,
            size=len(text),
            digest=Digest.of(text.encode()),
            boot_id=boot_id(),
            durable=True,
        )

    def file(self, folder: str, text: str, name: str) -> Digest:
        digest = Digest.of(text.encode())
        path = self.root / folder / digest.algorithm / digest.encoded / name
        os.makedirs(path.parent, exist_ok=True)
        path.write_text(text)
        return digest


def name_of(number: int) -> str:
    return f"docker.io/library/box-{number:05}:latest"


def fill(place: Path, count: int) -> None:
    """A store with so many images."""
    with orlop.open_store(place / "root", place / "run") as store:
        database = store._storage.database  # noqa: SLF001 - it is written past the library
        with database.write() as tx:
            writer = Writer(place / "root", tx)
            for number in range(count):
                writer.image(number)


def measure(place: Path, count: int, rounds: int) -> dict[str, float]:
    """Milliseconds of each operation on a store with so many images."""

    def open_store() -> None:
        orlop.open_store(place / "root", place / "run").close()

    with orlop.open_store(place / "root", place / "run") as store:
        database = store._storage.database  # noqa: SLF001
        with database.read() as tx:
            (model,) = Images(tx).find(names=[name_of(0)])
        created = []

        def create() -> None:
            created.append(f"docker.io/library/new-{time.time_ns()}:latest")
            with database.write() as tx:
                Images(tx).create(replace(model, name=created[-1]))

        work: dict[str, Callable[[], object]] = {
            "open": open_store,
            "get": lambda: store.image(name_of(count // 2)),
            "get by a prefix of the ID": lambda: store.image(Digest.of(b"config 7").encoded[:12]),
            "create": create,
            "list ten by a label": lambda: store.images(f"labels.group=={count // GROUP // 2}"),
            "list ten by name": lambda: store.images(f"name~=^docker\\.io/library/box-{0:04}"),
            "gc with nothing to do": store.collect,
            "gc --dry-run": lambda: store.collect(dry_run=True),
            "list all": store.images,
            "df": store.usage,
            "check --quick": lambda: store.check(quick=True),
        }
        found = {name: timed(action, rounds) for name, action in work.items()}
        with database.write() as tx:
            for name in created:
                Images(tx).delete(name)
        return found


def timed(action: Callable[[], object], rounds: int) -> float:
    """Milliseconds of a run after the first: the median."""
    action()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        found.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(found), 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", type=Path, help="where the stores are, or will be")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as temporary:
        found = {}
        for count in (FEW, arguments.images):
            place = (arguments.keep or Path(temporary)) / str(count)
            if not place.exists():
                fill(place, count)
            found[count] = measure(place, count, arguments.rounds)
        few, many = found.values()
        print(f"{'ms':34}{FEW:9,}{arguments.images:9,}  ratio   (images in the store)")
        for name, before in few.items():
            print(f"  {name:32}{before:9.2f}{many[name]:9.2f}{many[name] / before:7.1f}")


if __name__ == "__main__":
    main()
