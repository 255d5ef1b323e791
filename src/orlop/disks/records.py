"""Which images were made into disks, by scope and tag: leases, and a document that each keeps.

A record is a lease that nobody owns and that does not end. It lists the disks, whose forms it
keeps, and a document that says the rest; of an image that was pulled for it also the manifest, with
all that this names, and the stack. So nothing of it is garbage while the record is there, and all
of it when it is gone.

    lease `disk-<digits>`        by scope, tag and what was asked for
      orlop.disk/scope           `local` or `registry`
      orlop.disk/tag             what it is called
      orlop.disk/record          digest of the document
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop.digest import Digest
from orlop.disks.result import ImageMeta, LayerRef
from orlop.errors import (
    DiskError,
    InvalidDigestError,
    MetadataError,
    OrlopError,
    StoreReadError,
    StoreSaveError,
)
from orlop.metadata.content import LeasedContent
from orlop.metadata.labels import Labels
from orlop.metadata.leases import LeaseRecord, Leases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.metadata import Lease
    from orlop.metadata.database import Transaction
    from orlop.metadata.leases import Kind
    from orlop.storage.storage import Storage

Scope: TypeAlias = Literal["local", "registry"]

_SCOPE: Final = "orlop.disk/scope"
_TAG: Final = "orlop.disk/tag"
_RECORD: Final = "orlop.disk/record"
_MAX_RECORD: Final = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRecord:
    """An image that was made into disks.

    Attributes:
        meta: What is noted about it.
        layers: What a machine attaches.
        canonical_layers: One disk for each layer, as far as there are.
    """

    meta: ImageMeta
    layers: tuple[LayerRef, ...]
    canonical_layers: tuple[LayerRef, ...]

    def encode(self) -> bytes:
        """The record as a document."""
        return json.dumps(
            {
                "meta": self.meta.encode(),
                "layers": [each.encode() for each in self.layers],
                "canonical_layers": [each.encode() for each in self.canonical_layers],
            },
            sort_keys=True,
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> DiskRecord:
        """What `encode` gave.

        Raises:
            MetadataError: It is something else.
            LayerFSError: It has a disk of a filesystem that is not known.
        """
        try:
            found = json.loads(data)
            return cls(
                meta=ImageMeta.decode(found["meta"]),
                layers=tuple(map(LayerRef.decode, found["layers"])),
                canonical_layers=tuple(map(LayerRef.decode, found["canonical_layers"])),
            )
        except DiskError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError):
            raise MetadataError("the record of an image's disks is broken") from None


class DiskRecords:
    """The records of one scope.

    Args:
        storage: Where they are.
        scope: Which of them.
    """

    def __init__(self, storage: Storage, scope: Scope) -> None:
        self._storage = storage
        self._scope = scope

    def put(
        self,
        tag: str,
        record: DiskRecord,
        lease: Lease,
        *,
        key: str = "",
        items: tuple[tuple[Kind, str], ...] = (),
    ) -> None:
        """Keep a record, in place of one under the same tag and key.

        Args:
            tag: What it is called.
            record: What is said.
            lease: What keeps the disks until then.
            key: What else it is found by: how it was asked for.
            items: What else it keeps.

        Raises:
            StoreSaveError: It could not be kept.
        """
        id = self._id(tag, key)  # noqa: A001
        data = record.encode()
        if not tag:
            raise StoreSaveError("disks are saved under a tag, and this one is empty")
        if len(data) > _MAX_RECORD:
            raise StoreSaveError(f"{tag[:100]}: a record of {len(data)} bytes is too long")
        forms = {each.digest for each in (*record.layers, *record.canonical_layers)}
        try:
            DiskRecord.decode(data)  # One that cannot be read again would spoil the whole list.
            document = LeasedContent(self._storage.content, self._storage.database, lease).put(data)
            with self._storage.database.write() as tx:
                lease.require_in(tx)
                Leases(tx).delete(id)
                Leases(tx).create(
                    LeaseRecord(
                        id=id,
                        owner=None,
                        created_at_ns=time.time_ns(),
                        labels={_SCOPE: self._scope, _TAG: tag, _RECORD: document},
                    )
                )
                Leases(tx).hold(id, "blob", [document])
                Leases(tx).hold(id, "form", sorted(forms))
                for kind, each in items:
                    Leases(tx).hold(id, kind, [each])
        except (OrlopError, OSError) as error:
            raise StoreSaveError(
                f"{tag[:100]}: its record could not be kept: {error}", hint=hint_of(error)
            ) from error

    def get(self, tag: str, *, key: str | None = "") -> DiskRecord | None:
        """The record of this tag and key, or None; of all keys the last one where `key` is None.

        Raises:
            MetadataError: It is broken.
            LayerFSError: It has a disk of a filesystem that is not known.
            StoreReadError: The records cannot be read.
        """
        if not _may_be(tag):
            return None
        while True:
            with self._reading(tag) as tx:
                if key is not None:
                    found = Leases(tx).get(self._id(tag, key))
                else:
                    found = max(self._of(tx, _TAG, tag), key=_age, default=None)
            if found is None:
                return None
            record = self._read(found)
            if record is not None:
                return record

    def all(self) -> list[DiskRecord]:
        """All records of the scope, the newest first.

        Raises:
            MetadataError: One is broken.
            LayerFSError: One has a disk of a filesystem that is not known.
            StoreReadError: The records cannot be read.
        """
        while True:
            with self._reading("the store") as tx:
                found = self._of(tx, _SCOPE, self._scope)
            read = [self._read(each) for each in sorted(found, key=_age, reverse=True)]
            records = [each for each in read if each is not None]
            if len(records) == len(read):
                return records

    def remove(self, tag: str) -> bool:
        """Forget all records of a tag; whether there were any.

        Raises:
            StoreSaveError: They could not be removed.
        """
        if not _may_be(tag):
            return False
        try:
            with self._storage.database.write() as tx:
                found = self._of(tx, _TAG, tag)
                for each in found:
                    Leases(tx).delete(each.id)
        except (OrlopError, OSError) as error:
            raise StoreSaveError(
                f"{tag[:100]}: its record could not be removed: {error}", hint=hint_of(error)
            ) from error
        return bool(found)

    def _of(self, tx: Transaction, label: str, value: str) -> list[LeaseRecord]:
        """The leases of this scope that have a label of this value."""
        found = [Leases(tx).get(each) for each in Labels(tx).find("lease", label, value)]
        return [each for each in found if each and each.labels.get(_SCOPE) == self._scope]

    def _id(self, tag: str, key: str) -> str:
        return f"disk-{Digest.of(json.dumps([self._scope, tag, key]).encode()).encoded[:40]}"

    @contextmanager
    def _reading(self, what: str) -> Iterator[Transaction]:
        try:
            with self._storage.database.read() as tx:
                yield tx
        except (OrlopError, OSError) as error:
            raise _unreadable(what, error) from error

    def _is_there(self, found: LeaseRecord) -> bool:
        """Whether a record is still what it was; if not, its document may be gone."""
        with self._reading(found.labels.get(_TAG, "")) as tx:
            now = Leases(tx).get(found.id)
        return now is not None and now.labels.get(_RECORD) == found.labels.get(_RECORD)

    def _read(self, found: LeaseRecord) -> DiskRecord | None:
        """The document of a record; None where somebody removed or replaced it meanwhile."""
        tag = found.labels.get(_TAG, "")
        try:
            info = self._storage.content.stat(Digest(found.labels.get(_RECORD, "")))
            if info is None:
                if not self._is_there(found):
                    return None
                raise MetadataError(
                    f"the document about the disks of {tag} is lost",
                    hint="remove the tag, and build the image again",
                )
            data = self._storage.content.read(info.digest, info.size, _MAX_RECORD)
        except InvalidDigestError:
            raise MetadataError(f"lease {found.id} is no record of disks") from None
        except DiskError:
            raise
        except (OrlopError, OSError) as error:
            if not self._is_there(found):
                return None
            raise _unreadable(tag, error) from error
        return DiskRecord.decode(data)


def _may_be(tag: str) -> bool:
    """Whether there may be a record of a tag: none is of what cannot be written as UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in tag)


def _unreadable(what: str, error: Exception) -> StoreReadError:
    return StoreReadError(
        f"the disks of {what[:100]} cannot be looked up: {error}", hint=hint_of(error)
    )


def hint_of(error: BaseException) -> str | None:
    """What to do next, as far as an error says that."""
    return error.hint if isinstance(error, OrlopError) else None


def _age(record: LeaseRecord) -> tuple[int, str]:
    """What records are ordered by: the time, and something for those of one moment."""
    return record.created_at_ns, record.id
