"""Hard links that came before the entry they point to."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from orlop.errors import LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orlop.tree.changeset import Link

MAX_PENDING_LINKS: Final = 1_000_000
"""How many hard links of one layer may come before the entry they point to."""

MAX_LINK_ROUNDS: Final = 40
"""How often those are tried again that point to each other through symbolic links."""


class LateLinks:
    """The hard links of one layer that wait for their targets, in the archive's order."""

    def __init__(self) -> None:
        self._links: list[Link] = []

    def add(self, entry: Link) -> None:
        """Let a link wait.

        Raises:
            LimitExceededError: `MAX_PENDING_LINKS`.
        """
        self._links.append(entry)
        if len(self._links) > MAX_PENDING_LINKS:
            raise LimitExceededError(
                "too many hard links come before their targets",
                limit="MAX_PENDING_LINKS",
                value=MAX_PENDING_LINKS,
            )

    def make(self, link: Callable[[Link], bool]) -> Link | None:
        """Make all links and return None, or one of those whose target is not there.

        Args:
            link: Makes one link; False when its target is not there.

        Raises:
            LimitExceededError: `MAX_LINK_ROUNDS`.
        """
        for _ in range(MAX_LINK_ROUNDS):
            left = _make_round(self._links, link)
            if len(left) == len(self._links):
                return left[0] if left else None
            self._links = left
        if not self._links:
            return None
        raise LimitExceededError(
            "hard links point to each other in too long a chain of symbolic links",
            limit="MAX_LINK_ROUNDS",
            value=MAX_LINK_ROUNDS,
        )


def _make_round(links: Iterable[Link], link: Callable[[Link], bool]) -> list[Link]:
    """Make what can be made, each link tried twice at most, and return the others.

    A link that is made wakes those that name it as their target, so that a chain takes one round.
    """
    waiting: dict[bytes, list[Link]] = {}
    left: list[Link] = []
    for entry in links:
        if not link(entry):
            waiting.setdefault(entry.target, []).append(entry)
            continue
        made = [entry.path]
        while made:
            for woken in waiting.pop(made.pop(), ()):
                if link(woken):
                    made.append(woken.path)
                else:
                    left.append(woken)
    left.extend(chain.from_iterable(waiting.values()))
    return left
