"""Looks at blobs: each record has its bytes, and each file its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.metadata import Blobs
from orlop.storage.check.examination import in_additional, is_leased, is_needed
from orlop.storage.check.report import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.metadata import BlobRecord
    from orlop.storage.check.examination import Examination
    from orlop.storage.check.report import Damage, Remedy


class BlobExaminer:
    """Looks at the blobs of a store."""

    kind: Final = "blob"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._storage = examination.storage

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        present = list(self._storage.content.iter_digests())
        with self._examination.read() as tx:
            recorded = Blobs(tx).digests()
        return dict.fromkeys((*recorded, *present))

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`."""
        digest = Digest(key)
        with self._examination.read() as tx:
            record = Blobs(tx).get(digest)
            leased = record is None and is_leased(tx, "blob", digest)
        info = self._storage.content.stat(digest)
        if record is None:
            if info is not None and not leased:
                yield self._finding(digest, "leftover", "has no record", "remove")
        elif info is None:
            yield self._lost(digest, "missing", "is recorded, and not there")
        elif info.size != record.size:
            what = f"has {info.size} bytes instead of {record.size}"
            yield self._lost(digest, "size", what)
        else:
            yield from self._bytes(record)

    def _bytes(self, record: BlobRecord) -> Iterator[Finding]:
        if self._examination.quick:
            return
        path = self._storage.places.blob(record.digest)
        try:
            found = self._examination.hash(path, record.digest.algorithm)
        except FileNotFoundError:
            return
        except OSError as error:
            yield self._lost(record.digest, "unreadable", f"cannot be read: {error.strerror}")
            return
        if found != record.digest:
            yield self._lost(record.digest, "digest", "has other bytes than its digest says")

    def _lost(self, digest: Digest, damage: Damage, what: str) -> Finding:
        with self._examination.read() as tx:
            needed = is_needed(tx, "blob", digest)
        if not needed:
            return self._finding(digest, "leftover", f"{what}, and nothing needs it", "remove")
        twin = has_twin(self._examination, digest) or in_additional(self._storage, digest)
        return self._finding(digest, damage, what, "rebuild" if twin else "fetch")

    def _finding(self, digest: Digest, damage: Damage, what: str, remedy: Remedy) -> Finding:
        return Finding(
            damage=damage,
            subject="blob",
            id=digest,
            what=f"blob {digest} {what}",
            path=str(self._storage.places.blob(digest)),
            remedy=remedy,
        )


def has_twin(examination: Examination, digest: Digest) -> bool:
    """Whether a layer's tar, which is another file, has the bytes of a blob."""
    places = examination.storage.places
    tar, blob = places.form(digest) / "tar", places.blob(digest)
    try:
        if blob.exists() and tar.samefile(blob):
            return False
        return examination.hash(tar, digest.algorithm) == digest
    except OSError:
        return False
