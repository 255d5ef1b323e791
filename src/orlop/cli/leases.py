"""`orlop lease`: what keeps content for a while that no image names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Final

from orlop.cli.failure import UsageError, for_each
from orlop.cli.filters import check_filters
from orlop.cli.names import parse_labels
from orlop.cli.parameter import Parameter
from orlop.cli.render import (
    Format,
    human_age,
    human_time,
    name_kind,
    print_facts,
    print_json,
    print_table,
)
from orlop.cli.settings import open_existing, open_for_reading, store_exists

if TYPE_CHECKING:
    from orlop.metadata import LeaseRecord

DEFAULT_EXPIRY: Final = "24h"
"""How long a lease lives that the command makes, if nobody says otherwise."""

_NEVER: Final = "never"
_SECOND: Final = 10**9


def create(
    *images_or_digests: str,
    id: str | None = None,  # noqa: A002
    label: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    expires: str | None = None,
    until_boot: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Begin a lease, and print its name.

    Args:
        images_or_digests: What it keeps: images, of which the content is kept, not the name; or
            digests of blobs, layers or stacks.
        id: Its name; a random one if it is not said.
        label: KEY=VALUE to note about it; those under containerd.io/gc. tell `orlop gc`.
        expires: When it ends: after a time such as 90m or 7d, at a moment such as 2030-01-31, or
            never; after 24h if it is not said.
        until_boot: It ends when the machine is started again; before that only if it expires.
    """
    if expires is None:
        expires = _NEVER if until_boot else DEFAULT_EXPIRY
    end = _expiry(expires)
    labels = parse_labels(label)
    with open_existing() as store:
        lease = store.lease(
            labels=labels, id=id, expires=end, until="boot" if until_boot else "expiry"
        )
        try:
            store.leases.hold(lease.id, *images_or_digests)
        except BaseException:
            lease.release()
            raise
        print(lease.id)


def list_leases(
    *,
    filter: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),  # noqa: A002
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """List the leases, also those of pulls and mounts that are under way.

    Args:
        filter: Only those that it means, such as labels.team==sea or expiresat<2030-01-31.
        quiet: Print names alone.
        format: How to print: table or json.
    """
    if filter:
        from orlop.store.leases import LEASE_FIELDS

        check_filters(filter, LEASE_FIELDS)
    found: tuple[LeaseRecord, ...] = ()
    if store_exists():
        with open_for_reading() as store:
            found = store.leases.list(*filter)
    if quiet:
        for lease in found:
            print(lease.id)
    elif format == "json":
        print_json([_document(lease) for lease in found])
    else:
        now = time.time_ns()
        rows = [
            [lease.id, human_age(lease.created_at_ns, now), _end(lease), lease.purpose]
            for lease in found
        ]
        print_table(rows, ["id", "created", "ends", "purpose"])


def inspect(lease: str, /, *, format: Format = "table") -> None:  # noqa: A002
    """Show what is known about a lease, and what it keeps.

    Args:
        lease: Its name.
        format: How to print: table or json.
    """
    with open_for_reading() as store:
        record, items = store.leases.get(lease), store.leases.items(lease)
    if format == "json":
        kept = [{"kind": name_kind(kind), "key": key} for kind, key in items]
        print_json({**_document(record), "items": kept})
        return
    print_facts(
        [
            ("id", record.id),
            ("created", human_time(record.created_at_ns)),
            ("ends", _end(record)),
            *(("label", f"{key}={value}") for key, value in record.labels.items()),
            *((name_kind(kind), key) for kind, key in items),
        ]
    )


def add(lease: str, image_or_digest: str, /, *more: str) -> None:
    """Let a lease keep more: all of it, or nothing if something is not there.

    Args:
        lease: Its name.
        image_or_digest: An image, of which the content is kept, not the name; or the digest of a
            blob, a layer or a stack.
        more: Further ones.
    """
    with open_existing() as store:
        store.leases.hold(lease, image_or_digest, *more)


def extend(lease: str, /, *, expires: str = DEFAULT_EXPIRY) -> None:
    """Let a lease end at another time.

    Args:
        lease: Its name.
        expires: When: after a time from now such as 90m or 7d, at a moment such as 2030-01-31, or
            never.
    """
    end = _expiry(expires)
    with open_existing() as store:
        store.leases.resume(lease).extend(end)


def remove(
    lease: str, /, *more: str, force: Annotated[bool, Parameter(alias="-f", negative="")] = False
) -> int:
    """End leases; `orlop gc` frees what nothing else keeps then.

    Args:
        lease: Its name.
        more: Further ones.
        force: Also end those of running processes, which fail then.
    """
    with open_existing() as store:

        def end(name: str) -> None:
            store.leases.end(name, force=force)
            print(name)

        return for_each((lease, *more), end)


def _expiry(text: str) -> float | None:
    """Seconds from now until what `--expires` says; None for never."""
    from orlop.filters.quantity import read_time

    if text == _NEVER:
        return None
    now = time.time_ns()
    left = 0
    if (moment := read_time(text)) is not None:
        left = moment.ns - now
    elif (age := read_time(text, now)) is not None:
        left = now - age.ns
    if left <= 0:
        raise UsageError(
            f"{text!r} is no time to come",
            hint="write a time such as 90m or 7d, a moment such as 2030-01-31, or never",
        )
    return left / _SECOND


def _end(lease: LeaseRecord) -> str:
    """What a lease ends with."""
    ends = []
    if lease.owner is not None:
        ends.append(f"with process {lease.owner.pid}")
    elif lease.boot_id:
        ends.append("with this boot")
    if lease.ends_at_ns is not None:
        ends.append(human_time(lease.ends_at_ns))
    return ", ".join(ends) or _NEVER


def _document(lease: LeaseRecord) -> dict[str, object]:
    return {
        "id": lease.id,
        "created_at_ns": lease.created_at_ns,
        "expires_at_ns": lease.ends_at_ns,
        "pid": lease.owner.pid if lease.owner else None,
        "boot_id": lease.owner.boot_id if lease.owner else lease.boot_id or None,
        "labels": dict(lease.labels),
    }
