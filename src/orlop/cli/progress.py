"""Progress bars for people: one a layer, on stderr, on a terminal only."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orlop.cli.render import human_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from orlop.digest import Digest
    from orlop.transfer import Progress

_WORDS = {
    "wait": "waiting",
    "fetch": "fetching",
    "unpack": "unpacking",
    "present": "present",
    "done": "done",
    "merge": "merging the layers",
    "copy": "copying",
}


class Display:
    """The bars of one pull or copy."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[Digest, TaskID] = {}

    def update(self, step: Progress) -> None:
        """Show a step."""
        word = _WORDS[step.stage.value]
        task = self._tasks.get(step.digest)
        if task is None:
            task = self._bars.add_task(
                step.digest.encoded[:12], total=step.total or None, amount="", rate="", word=""
            )
            self._tasks[step.digest] = task
        self._bars.update(task, completed=step.done, amount=_amount(step), word=word)
        speed = self._bars.tasks[task].speed
        self._bars.update(task, rate=f"{human_size(int(speed))}/s" if speed else "")


def _amount(step: Progress) -> str:
    return f"{human_size(step.done)} of {human_size(step.total)}" if step.total else ""


@contextmanager
def display(*, quiet: bool) -> Iterator[Display | None]:
    """Bars while the block runs; None where nobody would see them."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[word]}"),
        console=Console(stderr=True),
    ) as bars:
        yield Display(bars)
