"""What a pull or a copy tells about itself while it works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from orlop.digest import Digest


class Stage(Enum):
    """What is being done with a layer, or with the whole image."""

    WAIT = "wait"
    """Another process fetches or unpacks the layer."""
    FETCH = "fetch"
    """The layer comes from its place and is unpacked as it comes."""
    UNPACK = "unpack"
    """The layer is here and is unpacked."""
    PRESENT = "present"
    """The layer was here, whole and unpacked."""
    DONE = "done"
    """The layer is here now."""
    MERGE = "merge"
    """All layers are here, and become one tree."""
    COPY = "copy"
    """The blob is copied from place to place, as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step of a pull or a copy.

    Attributes:
        stage: What is being done.
        digest: The layer's blob; for `Stage.MERGE` the image's manifest.
        done: Stored bytes that have been taken so far; never falls within a stage.
        total: Stored bytes that there are.
    """

    stage: Stage
    digest: Digest
    done: int = 0
    total: int = 0


ProgressCallback: TypeAlias = Callable[[Progress], None]
"""Called from several threads, though never from two at once; what it raises stops the work."""


class Reporter:
    """Hands steps to a callback, one at a time."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        self._callback = callback
        self._lock = threading.Lock()

    def __call__(self, stage: Stage, digest: Digest, done: int = 0, total: int = 0) -> None:
        """Tell a step, if anyone listens."""
        if self._callback is not None:
            with self._lock:
                self._callback(Progress(stage=stage, digest=digest, done=done, total=total))
