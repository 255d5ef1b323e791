"""What a check of a store has found, as values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Damage = Literal[
    "missing", "size", "digest", "mismatch", "form", "reference", "mount", "unreadable", "leftover"
]
"""What is wrong: something is not there, has another length, other bytes, does not fit what it
follows from, is in a form that is never written, names a record that is not there, is mounted and
not recorded or the reverse, cannot be read; or nothing names it."""

Subject = Literal[
    "blob", "form", "chain", "layer", "image", "container", "data", "name", "mount", "file"
]
"""What it is wrong with."""

Remedy = Literal["rebuild", "fetch", "remove", "force", "none"]
"""What mends it: made again from what is here; fetched again; removed, with which nothing is lost;
removed, with which something is; nothing that this program knows."""

REMEDIES: Final[Mapping[Remedy, str]] = {
    "rebuild": "made again by --repair",
    "fetch": "fetched again by --repair --fetch",
    "remove": "removed by --repair, which loses nothing",
    "force": "lost: removed by --repair --force",
    "none": "cannot be mended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        damage: What is wrong with it.
        subject: What it is.
        id: Its name: a digest, an ID, a path; of data and forms with what it belongs to.
        what: The whole of it in words.
        path: The file or directory that is at fault, where it is one.
        remedy: What mends it, as far as can be told.
    """

    damage: Damage
    subject: Subject
    id: str
    what: str
    path: str | None = None
    remedy: Remedy

    def encode(self) -> dict[str, object]:
        """The same for JSON."""
        return {
            "damage": self.damage,
            "subject": self.subject,
            "id": self.id,
            "what": self.what,
            "path": self.path,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check has found.

    Attributes:
        findings: What is wrong, in the order in which it is mended.
        looked: How many things of each kind were looked at.
        quick: Whether lengths were compared and bytes not read.
    """

    findings: tuple[Finding, ...] = ()
    looked: Mapping[str, int] = field(default_factory=dict)
    quick: bool = False

    @property
    def damaged(self) -> tuple[Finding, ...]:
        """What is more than left behind by processes that were killed."""
        return tuple(each for each in self.findings if each.damage != "leftover")

    @property
    def leftovers(self) -> tuple[Finding, ...]:
        """What killed processes have left behind, and a collection frees."""
        return tuple(each for each in self.findings if each.damage == "leftover")

    @property
    def counts(self) -> dict[str, int]:
        """How often each kind of damage was found."""
        return dict(sorted(Counter(each.damage for each in self.findings).items()))

    def encode(self) -> dict[str, object]:
        """The same for JSON."""
        return {
            "quick": self.quick,
            "looked": dict(self.looked),
            "counts": self.counts,
            "findings": [each.encode() for each in self.findings],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair has done.

    Attributes:
        mended: What was wrong and is no longer.
        failed: What could not be mended, and why.
        removed: The records that went because their content is lost: kind and ID.
        left: What a check finds now.
    """

    mended: tuple[Finding, ...] = ()
    failed: tuple[tuple[Finding, str], ...] = ()
    removed: tuple[str, ...] = ()
    left: Report

    def encode(self) -> dict[str, object]:
        """The same for JSON."""
        return {
            "mended": [each.encode() for each in self.mended],
            "failed": [{**each.encode(), "why": why} for each, why in self.failed],
            "removed": list(self.removed),
            "left": self.left.encode(),
        }
