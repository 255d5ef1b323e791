"""The history of an edited image: one entry for each step, and as many with a layer as it has.

Spec: image-spec v1.1, config.md, "history".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orlop.spec.history import History

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is said of an edit in the history.

    Attributes:
        created_by: The command.
        comment: What was said of it.
        author: Who.
        created: When; the moment of the draft where None.
    """

    created_by: str
    comment: str | None = None
    author: str | None = None
    created: str | None = None

    def entry(self, moment: str, *, empty_layer: bool = False) -> History:
        """The entry of the history."""
        return History(
            created=self.created or moment,
            author=self.author,
            created_by=self.created_by,
            comment=self.comment,
            empty_layer=empty_layer,
        )


def emptied(history: Sequence[History], kept: int) -> tuple[History, ...]:
    """The history where only the lowest so many layers are left; the other steps have none now."""
    found = []
    for step in history:
        if not step.empty_layer:
            kept -= 1
        gone = kept < 0 and not step.empty_layer
        found.append(replace(step, empty_layer=True) if gone else step)
    return tuple(found)


def above(history: Sequence[History], below: Sequence[History], layers: int) -> tuple[History, ...]:
    """What a history tells beyond that of the image below it.

    Args:
        history: The whole, complete one.
        below: That of the image that it stands on, as that tells it.
        layers: How many layers that has.
    """
    if below and tuple(history[: len(below)]) == tuple(below):
        return tuple(history[len(below) :])
    at = 0
    while layers:
        layers -= not history[at].empty_layer
        at += 1
    return tuple(history[at:])
