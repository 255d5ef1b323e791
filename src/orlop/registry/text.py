"""Text that came from a registry, made fit for a message."""

from __future__ import annotations

from typing import Final

MAX_SHOWN: Final = 200
"""How many characters of a remote text a message repeats."""


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    """The text in quotes on one line, with control characters escaped, cut to `limit`."""
    cut = text[:limit]
    escaped = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
    return f'"{escaped}{"…" if len(text) > limit else ""}"'
