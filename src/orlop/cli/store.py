"""`orlop gc`, `orlop df` and `orlop info`."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Final

from orlop.cli.parameter import Parameter
from orlop.cli.render import (
    Format,
    human_size,
    name_kind,
    print_facts,
    print_json,
    print_table,
)
from orlop.cli.settings import become_owner, find_places, open_for_reading, open_store, store_exists

if TYPE_CHECKING:
    from orlop.metadata.collected import Collected
    from orlop.storage.usage import Usage

_COUNTS: Final = {
    "leases": "leases",
    "mounts": "mounts",
    "containers": "containers",
    "images": "images",
    "blobs": "blobs",
    "layers": "forms",
    "stacks": "chains",
    "unfinished": "ingests",
    "leftovers": "leftovers",
}
"""What `orlop gc` calls things, as `orlop df` does."""

_KEYS: Final = {"forms": "layers", "chains": "stacks"}


def collect(
    *,
    unfinished: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(alias="-n", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """Free what no image, mount, lease or running pull needs.

    Args:
        unfinished: Also drop what interrupted pulls left, which the next one would go on with;
            otherwise it is kept for a day.
        dry_run: Free nothing; say what would go, one by one.
        format: How to print: table or json.
    """
    from orlop.metadata.collected import Collected

    collected = Collected()
    if store_exists():
        if not dry_run:
            become_owner()
        with open_for_reading() if dry_run else open_store() as store:
            collected = store.collect(unfinished=unfinished, dry_run=dry_run)
    if format == "json":
        print_json(_document(collected))
    elif not collected.items:
        print("nothing to free")
    elif dry_run:
        _print_items(collected)
    else:
        print_facts(_facts(collected))


def _document(collected: Collected) -> dict[str, object]:
    counts = asdict(replace(collected, items=()))
    items = [{**asdict(item), "kind": name_kind(item.kind)} for item in collected.items]
    return {**{_KEYS.get(name, name): count for name, count in counts.items()}, "items": items}


def _facts(collected: Collected) -> list[tuple[str, str]]:
    counts = asdict(replace(collected, items=()))
    facts = [(word, str(counts[name])) for word, name in _COUNTS.items() if counts[name]]
    return [*facts, ("freed", human_size(collected.size))] if collected.size else facts


def _print_items(collected: Collected) -> None:
    rows = [
        [
            "unfinished" if item.kind == "ingest" else name_kind(item.kind),
            human_size(item.size) if item.size else "",
            item.key,
        ]
        for item in collected.items
    ]
    print_table([*rows, ["all", human_size(collected.size), ""]], ["what", "size", "name"])


def usage(*, format: Format = "table") -> None:  # noqa: A002
    """Show what the store occupies on the disk, and what `orlop gc` would free.

    Args:
        format: How to print: table or json.
    """
    with open_for_reading() as store:
        found = store.usage()
    if format == "json":
        print_json({**asdict(found), "total": found.total})
        return
    print_table(_shares(found), ["what", "count", "size", "reclaimable"])


def _shares(found: Usage) -> list[list[str]]:
    rows = [
        [name, str(share.count), human_size(share.size), human_size(share.reclaimable)]
        for name, share in found.shares.items()
    ]
    rows.append(["all", "", human_size(found.total), ""])
    rows.append(["free on disk", "", human_size(found.free), ""])
    return rows


def info(*, format: Format = "table") -> None:  # noqa: A002
    """Show where the store is, and what this machine can do and why not.

    Args:
        format: How to print: table or json.
    """
    from orlop import __version__
    from orlop.storage.places import FORMAT_VERSION
    from orlop.store.machine import look_at_machine

    places = find_places()
    machine = look_at_machine(places)
    facts: dict[str, object] = {
        "version": __version__,
        "python": sys.version.split()[0],
        "root": str(places.root),
        "run": str(places.run),
        "store": machine.store,
        "format": FORMAT_VERSION,
        "driver": machine.driver,
        "kernel": machine.capabilities.kernel,
    }
    if format == "json":
        print_json({**facts, "machine": machine.capabilities.encode()})
        return
    print_facts([(name, str(value)) for name, value in facts.items()])
    print()
    rows = [
        [name.replace("_", " "), "yes" if each.works else "no", each.reason]
        for name, each in machine.capabilities
    ]
    print_table(rows, ["this machine", "works", "why"])
