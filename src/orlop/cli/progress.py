"""Progress bars for people, on stderr, on a terminal only: one a layer, or one for all."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from orlop.cli.render import human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@contextmanager
def single_bar(
    description: str, unit: Literal["bytes", "files"], *, quiet: bool
) -> Iterator[Callable[[str, int, int], object] | None]:
    """One bar while the block runs: gives what shows a description, how much is done, of how much.

    None where nobody would see it.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn

    amount = DownloadColumn(binary_units=True) if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount)
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(description, total=None)
        yield lambda text, done, total: bars.update(
            task, completed=done, total=total, description=text
        )
