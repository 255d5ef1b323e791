"""Checking a store: every record, file, directory and mount held against each other.

Nothing is locked while it runs, and others go on working. So what looks wrong is looked at once
more when all has been seen, and several times if need be: what somebody is making, renaming or
removing just then is right the next time. Only what is wrong every time, in the same way, is told.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from orlop.metadata.gc import INGEST_KEEP_TIME
from orlop.storage.check.blobs import BlobExaminer
from orlop.storage.check.data import DataExaminer, NameExaminer
from orlop.storage.check.derived import ChainExaminer, FormExaminer
from orlop.storage.check.documents import DocumentExaminer
from orlop.storage.check.examination import Examination
from orlop.storage.check.layers import LayerExaminer
from orlop.storage.check.leftovers import LeftoverExaminer, NoteExaminer
from orlop.storage.check.mounts import MountExaminer
from orlop.storage.check.report import Finding, Report
from orlop.storage.check.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orlop.storage.check.examination import Examiner
    from orlop.storage.core import StorageCore

_SECOND: Final = 10**9
DEFAULT_MAX_AGE: Final = INGEST_KEEP_TIME / _SECOND
"""Seconds for which a file of big data without a record may be somebody's work."""
_PAUSES: Final = (0.0, 0.02, 0.1)
"""Seconds before each further look at what looked wrong."""


def check(storage: StorageCore, *, quick: bool = False, max_age: float = DEFAULT_MAX_AGE) -> Report:
    """What is wrong with a store; see `Storage.check`."""
    examination = Examination(storage=storage, quick=quick, max_age_ns=round(max_age * _SECOND))
    looked: dict[str, int] = {}
    suspects: list[tuple[Examiner, str, Finding]] = []
    screen = Screen(examination) if quick else None
    for examiner in examiners(examination):
        keys = list(examiner.keys())
        looked[examiner.kind] = looked.get(examiner.kind, 0) + len(keys)
        for key in keys if screen is None else screen.doubtful(examiner.kind, keys):
            suspects += ((examiner, key, finding) for finding in examiner.look(key))
    findings = tuple(_confirmed(suspects))
    return Report(findings=findings, looked=looked, quick=quick)


def examiners(examination: Examination) -> Sequence[Examiner]:
    """What looks at a store, in the order in which what is found is mended."""
    found: list[Examiner] = [
        LeftoverExaminer(examination),
        NoteExaminer(examination),
        NameExaminer(examination),
        MountExaminer(examination),
        BlobExaminer(examination),
        DocumentExaminer(examination),
        LayerExaminer(examination),
        FormExaminer(examination),
        ChainExaminer(examination),
        DataExaminer(examination),
    ]
    return found


def _confirmed(suspects: Iterable[tuple[Examiner, str, Finding]]) -> Iterable[Finding]:
    suspects = list(suspects)
    for pause in _PAUSES:
        if not suspects:
            break
        time.sleep(pause)
        places = {(id(examiner), key): examiner for examiner, key, _ in suspects}
        now = {(at, key): set(examiner.look(key)) for (at, key), examiner in places.items()}
        suspects = [each for each in suspects if each[2] in now[id(each[0]), each[1]]]
    # What two records need is missing once.
    return dict.fromkeys(finding for _, _, finding in suspects)
