"""What all looks of one check share: the store, how closely to look, and what was hashed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from hashlib import file_digest
from typing import TYPE_CHECKING, Protocol

from orlop.digest import Digest, digest_of
from orlop.metadata.gc import ended_leases
from orlop.metadata.graph import is_kept, mark, read_graph
from orlop.metadata.leases import Leases, is_live

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from orlop.metadata import Transaction
    from orlop.metadata.graph import NodeKind
    from orlop.storage.check.report import Finding
    from orlop.storage.core import StorageCore


class Examiner(Protocol):
    """Looks at things of one kind."""

    @property
    def kind(self) -> str:
        """What it looks at."""

    def keys(self) -> Iterable[str]:
        """What there is to look at, by records and on the disk."""

    def look(self, key: str) -> Iterable[Finding]:
        """What is wrong with one thing at this moment; nothing where it is no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One check.

    Attributes:
        storage: The store.
        quick: Compare lengths, and read no bytes.
        max_age_ns: How long a file that nothing names may be somebody's work.
        hashed: The digests of files that were read, by what tells a file and its state.
    """

    storage: StorageCore
    quick: bool
    max_age_ns: int
    hashed: dict[tuple[object, ...], Digest] = field(default_factory=dict)

    def read(self) -> AbstractContextManager[Transaction]:
        """A transaction on the records of the store itself."""
        return self.storage.database.read()

    def hash(self, path: Path, algorithm: str) -> Digest:
        """The digest of a file; of several links to one the file is read once.

        Raises:
            OSError: It cannot be read.
        """
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, algorithm)
            if key not in self.hashed:
                self.hashed[key] = digest_of(file_digest(file, algorithm))
            return self.hashed[key]

    def note(self, path: Path, digest: Digest) -> None:
        """Remember what a file was found to hash to."""
        found = path.stat()
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, digest.algorithm)
        self.hashed[key] = digest


def is_leased(tx: Transaction, kind: str, key: str) -> bool:
    """Whether work in progress, or anybody's lease, keeps a thing just now."""
    rows = tx.rows("SELECT lease FROM lease_items WHERE kind = ? AND key = ?", (kind, key))
    records = (Leases(tx).get(row[0]) for row in rows)
    now = time.time_ns()
    return any(record is not None and is_live(record, now) for record in records)


def is_needed(tx: Transaction, kind: NodeKind, key: str) -> bool:
    """Whether anything keeps a recorded thing, so that it is not garbage.

    Leases that have ended keep nothing, though they may be recorded still.
    """
    now = time.time_ns()
    if not is_kept(tx, kind, key, now):
        return False
    ended = {record.id for record in ended_leases(tx, now)}
    return not ended or (kind, key) not in mark(read_graph(tx, now_ns=now, ended=ended))


def in_additional(storage: StorageCore, digest: Digest) -> bool:
    """Whether an additional store has a blob."""
    return any(store.content.stat(digest) is not None for store in storage.additional)
