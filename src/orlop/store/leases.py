"""The leases of a store, and what they keep."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from orlop.digest import Digest
from orlop.errors import AmbiguousError, InUseError, InvalidDigestError, NotFoundError
from orlop.filters import Time, labels_value, parse
from orlop.metadata import Blobs, Chains, Forms, Lease, Leases
from orlop.metadata.leases import is_live
from orlop.storage.lookup import find_image

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.filters import Adaptor, Value
    from orlop.metadata import Database, ImageRow, LeaseRecord, Transaction
    from orlop.metadata.leases import Kind


LEASE_FIELDS: Final = ("id", "labels.KEY", "createdat", "expiresat")
"""The fields of a lease that filters may ask for."""


@final
class StoreLeases:
    """The leases that have not ended, of this process and of others; `Store.lease` begins one.

    Args:
        database: Where they are recorded.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, *filters: str) -> tuple[LeaseRecord, ...]:
        """The leases that any of these filters means, oldest first; all without one.

        Args:
            filters: In the language of `orlop.filters`, over `id`, `labels.KEY`, `createdat` and
                `expiresat`.

        Raises:
            InvalidFilterError: One of them is no filter.
            LimitExceededError: There are too many, or one is too long.
        """
        now = time.time_ns()
        meant = parse(*filters, now_ns=now)
        with self._database.read() as tx:
            records = [record for record in Leases(tx).list() if is_live(record, now)]
        return tuple(record for record in records if meant(lease_fields(record)))

    def get(self, id: str) -> LeaseRecord:  # noqa: A002
        """What is known about a lease.

        Raises:
            NotFoundError: It has ended, or there never was one.
        """
        with self._database.read() as tx:
            return Leases(tx).require_live(id, time.time_ns())

    def items(self, id: str) -> tuple[tuple[Kind, str], ...]:  # noqa: A002
        """What a lease keeps: pairs of kind (`blob`, `form`, `chain`, `ingest`) and key.

        Raises:
            NotFoundError: It has ended, or there never was one.
        """
        with self._database.read() as tx:
            Leases(tx).require_live(id, time.time_ns())
            return tuple(Leases(tx).items(id))

    def resume(self, id: str) -> Lease:  # noqa: A002
        """A lease to go on with; the end of its block ends it.

        Raises:
            NotFoundError: It has ended, or there never was one.
        """
        return Lease.resume(self._database, id)

    def hold(self, id: str, *images_or_digests: str) -> tuple[tuple[Kind, str], ...]:  # noqa: A002
        """Keep things by a lease, and say which: all of them or none.

        Args:
            id: The lease.
            images_or_digests: Of an image (named as for `Store.image`) the content is kept, not
                the name; of a digest the blob, layer or stack that it names.

        Raises:
            NotFoundError: The lease has ended; or nothing is called that.
            AmbiguousError: A prefix fits several images.
        """
        with self._database.write() as tx:
            Leases(tx).require_live(id, time.time_ns())
            found = dict.fromkeys(item for each in images_or_digests for item in _items(tx, each))
            for kind, key in found:
                Leases(tx).hold(id, kind, [key])
        return tuple(found)

    def end(self, id: str, *, force: bool = False) -> None:  # noqa: A002
        """End a lease; what nothing else keeps is garbage.

        Args:
            id: The lease.
            force: Also where it is a running process's, which fails then.

        Raises:
            NotFoundError: It has ended, or there never was one.
            InUseError: It is a running process's.
        """
        with self._database.write() as tx:
            owner = Leases(tx).require_live(id, time.time_ns()).owner
            if owner is not None and not force:
                raise InUseError(
                    f"lease {id!r} is in use by process {owner.pid}",
                    hint="end the process, or force it, and the process fails",
                )
            Leases(tx).delete(id)


def lease_fields(record: LeaseRecord) -> Adaptor:
    """The values of the fields of a lease, `LEASE_FIELDS`."""

    def field(path: tuple[str, ...]) -> Value | None:
        match path:
            case ("id",):
                return record.id
            case ("labels", *_):
                return labels_value(record.labels, path)
            case ("createdat",):
                return Time(record.created_at_ns)
            case ("expiresat",) if record.ends_at_ns is not None:
                return Time(record.ends_at_ns)
            case _:
                return None

    return field


def _items(tx: Transaction, thing: str) -> list[tuple[Kind, str]]:
    with suppress(InvalidDigestError):
        digest = Digest(thing)
        with suppress(NotFoundError, AmbiguousError):
            return _contents(find_image(tx, thing))
        found = _named(tx, digest)
        if not found:
            raise NotFoundError(f"nothing in the store has the digest {thing}")
        return found
    return _contents(find_image(tx, thing))


def _contents(rows: Iterable[ImageRow]) -> list[tuple[Kind, str]]:
    """What the names keep: if one goes, moves or expires, this stays."""
    items: dict[tuple[Kind, str], None] = {}
    for row in rows:
        for digest in (row.target_digest, row.manifest_digest, row.image_id):
            if digest is not None:
                items["blob", digest] = None
        if row.chain_id is not None:
            items["chain", row.chain_id] = None
    return list(items)


def _named(tx: Transaction, digest: Digest) -> list[tuple[Kind, str]]:
    """A digest may name a blob, a layer and a stack, all at once."""
    found: list[tuple[Kind, str]] = []
    if Blobs(tx).get(digest) is not None:
        found.append(("blob", digest))
    if any(Forms(tx).list(digest)):
        found.append(("form", digest))
    if Chains(tx).layers(digest):
        found.append(("chain", digest))
    return found
