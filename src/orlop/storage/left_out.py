"""What a directory lacks of the image that it shows, since who wrote it could not make it.

Without privilege there are no devices and no trusted attributes, and files have one owner; in a
user namespace they have those that it maps. It is noted beside the directory, as JSON, so that
nobody takes for deleted what was never there.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from orlop.errors import InvalidDocumentError

if TYPE_CHECKING:
    from pathlib import Path

    from orlop.rootfs import Dropped, WriteReport

_SUFFIX: Final = ".lacks"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What a directory lacks.

    Attributes:
        owners: Whether files have their owners.
        dropped: What else is missing, the first thousand records.
        count: How many records there would be.
    """

    owners: bool = True
    dropped: tuple[Dropped, ...] = ()
    count: int = 0

    @classmethod
    def by(cls, report: WriteReport, *, owners: bool) -> Self:
        """What was left out by who wrote a directory, with the files' owners or without."""
        return cls(owners=owners, dropped=report.dropped, count=report.dropped_count)

    @property
    def nothing(self) -> bool:
        """Whether it lacks nothing."""
        return self.owners and not self.count

    def also(self, other: LeftOut) -> LeftOut:
        """What a directory lacks that was made of one that lacks this."""
        return LeftOut(
            owners=self.owners and other.owners,
            dropped=(*self.dropped, *other.dropped),
            count=self.count + other.count,
        )

    def encode(self) -> bytes:
        """The note, as JSON."""
        document = {
            "owners": self.owners,
            "count": self.count,
            "dropped": [[os.fsdecode(each.path), each.what] for each in self.dropped],
        }
        return json.dumps(document).encode()


def note_name(directory: str) -> str:
    """What the note beside a directory of this name is called."""
    return f"{directory}{_SUFFIX}"


def is_note(name: str) -> bool:
    """Whether that is what a note is called."""
    return name.endswith(_SUFFIX)


def read_note(path: Path) -> LeftOut:
    """What is noted in a file; nothing where there is none.

    Raises:
        InvalidDocumentError: It is no note.
        OSError: It cannot be read.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return LeftOut()
    from orlop.rootfs import Dropped

    try:
        document = json.loads(raw)
        dropped = [Dropped(path=os.fsencode(name), what=what) for name, what in document["dropped"]]
        return LeftOut(
            owners=bool(document["owners"]), count=int(document["count"]), dropped=tuple(dropped)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidDocumentError("no note of what was left out", where=str(path)) from error
