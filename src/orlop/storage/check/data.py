"""Looks at big data, and at names: each item has its file, and each name something that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from orlop.metadata import BigData, Names
from orlop.storage.check.report import Finding
from orlop.storage.keys import KINDS
from orlop.storage.leftovers import exists

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orlop.metadata import BigDatum, ObjectKind
    from orlop.storage.check.examination import Examination
    from orlop.storage.check.report import Damage, Remedy
    from orlop.storage.core import StorageCore


class DataExaminer:
    """Looks at the big data of layers, images and containers."""

    kind: Final = "data"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._storage = examination.storage

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        sql = "SELECT kind, id, name FROM big_data ORDER BY kind, id, name"
        with self._examination.read() as tx:
            return [" ".join(row) for row in tx.rows(sql)]

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`."""
        kind, id, name = split_key(key)  # noqa: A001
        with self._examination.read() as tx:
            datum = BigData(tx).get(kind, id, name)
            owned = exists(tx, kind, id)
        if datum is None:
            return
        if not owned:
            yield _data(key, None, "leftover", f"belongs to {kind} {id}, which is not there")
            return
        path = data_path(self._storage, kind, id, datum)
        wrong = self._wrong(path, datum)
        if wrong is not None:
            yield _data(key, path, *wrong, "force")

    def _wrong(self, path: Path, datum: BigDatum) -> tuple[Damage, str] | None:
        try:
            size = path.stat().st_size
            if size != datum.size:
                return "size", f"has {size} bytes instead of {datum.size}"
            if self._examination.quick:
                return None
            if self._examination.hash(path, datum.digest.algorithm) != datum.digest:
                return "digest", "has other bytes than its record says"
        except FileNotFoundError:
            return "missing", "is recorded, and not there"
        except OSError as error:
            return "unreadable", f"cannot be read: {error.strerror}"
        return None


class NameExaminer:
    """Looks at the names of layers, images and containers."""

    kind: Final = "name"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        sql = "SELECT kind, name FROM object_names ORDER BY kind, name"
        with self._examination.read() as tx:
            return [" ".join(row) for row in tx.rows(sql)]

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`."""
        kind, _, name = key.partition(" ")
        for each in KINDS:
            if each == kind:
                with self._examination.read() as tx:
                    id = Names(tx).find(each, name)  # noqa: A001
                    lost = id is not None and not exists(tx, each, id)
                if lost:
                    what = f"the name {name!r} is that of {kind} {id}, which is not there"
                    yield Finding(
                        damage="leftover", subject="name", id=key, what=what, remedy="remove"
                    )


def split_key(key: str) -> tuple[ObjectKind, str, str]:
    """Kind, ID and name of an item of big data."""
    kind, id, name = key.split(" ", 2)  # noqa: A001
    return cast("ObjectKind", kind), id, name


def data_path(storage: StorageCore, kind: ObjectKind, id: str, datum: BigDatum) -> Path:  # noqa: A002
    """Where an item's bytes are."""
    return storage.places.object(kind, id) / "data" / datum.file


def _data(
    key: str, path: Path | None, damage: Damage, what: str, remedy: Remedy = "remove"
) -> Finding:
    kind, id, name = split_key(key)  # noqa: A001
    return Finding(
        damage=damage,
        subject="data",
        id=key,
        what=f"the data {name!r} of {kind} {id} {what}",
        path=None if path is None else str(path),
        remedy=remedy,
    )
