"""How many things a transfer does at once."""

from __future__ import annotations

from typing import Final

DEFAULT_JOBS: Final = 3
"""Layers or blobs that are brought in at once."""
MAX_JOBS: Final = 64
"""Layers or blobs that may be brought in at once."""


def check_jobs(jobs: int) -> None:
    """Succeed if so many things may be done at once.

    Raises:
        ValueError: They are none, or too many.
    """
    if not 1 <= jobs <= MAX_JOBS:
        raise ValueError(f"jobs must be 1 to {MAX_JOBS}, not {jobs}")
