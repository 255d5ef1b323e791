"""Time what is done with a layout of many tags, in milliseconds: the median of several runs.

    python bench/tags.py [--tags 10000] [--rounds 9]

Each operation is one call of `orlop.layout`, on a directory; those that write are durable when they
return.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from orlop import layout
from orlop.mediatype import OCI_MANIFEST
from orlop.spec.descriptor import Descriptor
from orlop.spec.index import Index
from orlop.spec.layout import REF_NAME


def tagged(driver: layout.DirectoryDriver, count: int) -> None:
    """A layout with so many tags, of a manifest each."""
    layout.init(driver)
    layout.write_index(driver, Index(manifests=tuple(named(f"tag-{n}") for n in range(count))))


def named(tag: str) -> Descriptor:
    return Descriptor.of(OCI_MANIFEST, tag.encode(), annotations={REF_NAME: tag})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tags", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as place:
        driver = layout.DirectoryDriver(Path(place, "tagged"))
        tagged(driver, arguments.tags)
        source = layout.parse_place(f"oci:{place}/tagged:tag-{arguments.tags // 2}")
        work = {
            "put a new tag": lambda n: layout.put_manifest_descriptor_to_index(
                driver, named(f"new-{n}")
            ),
            "move a tag": lambda n: layout.put_manifest_descriptor_to_index(
                driver, Descriptor.of(OCI_MANIFEST, b"%d" % n, annotations={REF_NAME: "tag-7"})
            ),
            "remove a tag": lambda n: layout.remove_manifest_descriptor_from_index(
                driver, f"tag-{n + 100}"
            ),
            "read the index": lambda _: layout.read_index(driver),
            "list the images": lambda _: layout.list_images(source),
            "open one by its tag": lambda _: layout.open_source(source).close(),
        }
        print(f"a layout of {arguments.tags:,} tags, ms")
        for name, action in work.items():
            print(f"  {name:32}{statistics.median(timed(action, arguments.rounds)):9.1f}")


def timed(action, rounds: int) -> list[float]:
    """Milliseconds of each run."""
    found = []
    for number in range(rounds):
        start = time.perf_counter()
        action(number)
        found.append((time.perf_counter() - start) * 1000)
    return found


if __name__ == "__main__":
    main()
