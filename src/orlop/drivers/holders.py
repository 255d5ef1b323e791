"""Who keeps a mount busy, as far as procfs tells, for the message of a failed unmount."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop._sys.mountinfo import iter_mounts
from orlop._sys.process import command_line

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINKS: Final = 20_000
"""How many links of procfs are read before the search is given up."""
MAX_HOLDERS: Final = 5
"""How many holders a message names."""


def holders_of(target: str | os.PathLike[str]) -> list[str]:
    """Name processes and mounts that use something at or below `target`, at most `MAX_HOLDERS`.

    The search looks at paths, reads at most `MAX_LINKS` of them, and waits for nothing.
    """
    top = os.fsencode(os.path.realpath(target))
    found = [
        f"the mount at {os.fsdecode(info.mount_point)}"
        for info in iter_mounts()
        if info.mount_point.startswith(top + b"/")
    ]
    seen: set[int] = set()
    for pid, path in _links():
        if len(found) >= MAX_HOLDERS:
            break
        if pid not in seen and (path == top or path.startswith(top + b"/")):
            seen.add(pid)
            found.append(f"process {pid} ({command_line(pid)})")
    return found[:MAX_HOLDERS]


def _links() -> Iterator[tuple[int, bytes]]:
    left = MAX_LINKS
    for name in os.listdir(b"/proc"):
        if not name.isdigit():
            continue
        for link in _links_of(name):
            try:
                path = os.readlink(link)
            except OSError:
                continue
            yield int(name), path
            left -= 1
            if left == 0:
                return


def _links_of(pid: bytes) -> list[bytes]:
    base = b"/proc/" + pid
    links = [base + b"/cwd", base + b"/root", base + b"/exe"]
    for folder in (base + b"/fd", base + b"/map_files"):
        try:
            links += [folder + b"/" + name for name in os.listdir(folder)]
        except OSError:
            pass
    return links
