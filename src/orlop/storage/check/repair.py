"""Mending what a check has found: built again, fetched again, or removed.

Each step is one that a collection, a pull or a mount does too: it holds a lease or a lock, asks
once more whether it is needed, and may be killed. So a repair that was killed is gone on with by
the next one. What is mended lets the next check tell what is left of the rest: it takes a few
rounds.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from orlop.errors import OrlopError
from orlop.metadata.gc import forget_holders
from orlop.storage.check.checker import DEFAULT_MAX_AGE, check
from orlop.storage.check.mend import Mender
from orlop.storage.check.report import Repaired
from orlop.storage.reserve import with_reserve

if TYPE_CHECKING:
    from orlop.storage.check.fetcher import BlobFetcher
    from orlop.storage.check.objects import Objects
    from orlop.storage.check.report import Finding, Report
    from orlop.storage.core import StorageCore

_MAX_ROUNDS: Final = 8
"""How often what is left is looked at; each removes what stood on what went before."""


def repair(
    storage: StorageCore,
    objects: Objects,
    *,
    quick: bool = False,
    max_age: float = DEFAULT_MAX_AGE,
    fetcher: BlobFetcher | None = None,
    force: bool = False,
) -> Repaired:
    """Mend a store, and say how; see `Storage.repair`."""
    forget_holders(storage.database, time.time_ns())
    mender = Mender(storage, objects, fetcher=fetcher, force=force, max_age=max_age)
    report = check(storage, quick=quick, max_age=max_age)
    seen: dict[Finding, None] = {}
    failed: dict[Finding, str] = {}
    for _ in range(_MAX_ROUNDS):
        if not report.findings:
            break
        seen.update(dict.fromkeys(report.findings))
        mended = False
        failed.clear()  # What kept it from being mended may have gone with something else.
        for finding in report.findings:
            why = _mend(storage, mender, finding)
            mended |= why is None
            if why is not None:
                failed[finding] = why
        report = check(storage, quick=quick, max_age=max_age)
        if not mended:
            break
    left = set(report.findings)
    storage.content.empty_trash()
    return Repaired(
        mended=tuple(finding for finding in seen if finding not in left),
        failed=tuple(
            (finding, failed.get(finding, _why_not(report))) for finding in report.findings
        ),
        removed=tuple(mender.removed),
        left=report,
    )


def _mend(storage: StorageCore, mender: Mender, finding: Finding) -> str | None:
    """Why something could not be mended; None where it is, or is to be looked at again."""
    try:
        with_reserve(storage.places, lambda: mender.mend(finding))
    except OrlopError as error:
        return f"{error} ({error.hint})" if error.hint else str(error)
    except OSError as error:
        return f"{error.filename or ''}: {error.strerror}".lstrip(": ")
    return None


def _why_not(report: Report) -> str:
    return f"it is one of {len(report.findings)} that are left"
