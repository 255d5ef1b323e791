"""Looks for what killed processes have left: directories and files that nothing records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop.storage.check.report import Finding
from orlop.storage.collect import abandoned
from orlop.storage.leftovers import is_recorded, iter_leftovers, orphaned_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.storage.check.examination import Examination


class LeftoverExaminer:
    """Looks among the directories of a store's objects, and of what is being built."""

    kind: Final = "file"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._storage = examination.storage

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        found = iter_leftovers(self._storage, max_age_ns=self._examination.max_age_ns)
        return [str(path) for path in (*abandoned(self._storage), *found)]

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`; what is there is there without a record, or has just got one."""
        path = Path(key)
        if not path.exists() and not path.is_symlink():
            return
        if path.parent == self._storage.places.staging:
            if path not in abandoned(self._storage):
                return
            what = "is what a killed process was building"
        else:
            with self._examination.read() as tx:
                if is_recorded(tx, self._storage, path):
                    return
            what = "is nothing that is recorded"
        yield Finding(
            damage="leftover",
            subject="file",
            id=key,
            what=f"{path} {what}",
            path=key,
            remedy="remove",
        )


class NoteExaminer:
    """Looks for notes on images that are gone."""

    kind: Final = "note"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        with self._examination.read() as tx:
            return orphaned_notes(tx)

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`."""
        with self._examination.read() as tx:
            if key not in orphaned_notes(tx):
                return
        yield Finding(
            damage="leftover",
            subject="name",
            id=f"note {key}",
            what=f"notes are kept of image {key}, which is not there",
            remedy="remove",
        )
