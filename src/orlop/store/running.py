"""Running a container without opening a store first."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from orlop.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.runtime import RunOptions, RunResult
    from orlop.store.store import Store


def run(
    name: str,
    args: Sequence[str] = (),
    options: RunOptions | None = None,
    *,
    store: Store | None = None,
) -> RunResult:
    """Run a container until it ends, and say how it did; see `Store.run_container`.

        said = orlop.run("debian:12", ["id"], orlop.RunOptions(capture=True, user="nobody")).stdout

    Args:
        name: The container, or the image that one is made of for this.
        args: What follows the image's entrypoint, instead of its own command.
        options: How it is run.
        store: Where it is; this user's store where None.

    Raises:
        OrlopError: As `Store.run_container`.
        OSError: Something could not be read or written.
    """
    with open_store() if store is None else nullcontext(store) as opened:
        return opened.run_container(name, args, options)
