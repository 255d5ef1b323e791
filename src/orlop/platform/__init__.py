"""Platforms: what an image runs on, and which of several images suits a machine best.

Nothing here looks at the machine: `Platform.of_machine` takes what it said.
"""

from orlop.platform.match import choose, matches, ordered, ranked
from orlop.platform.value import MAX_PLATFORM_LENGTH, Platform

__all__ = ["MAX_PLATFORM_LENGTH", "Platform", "choose", "matches", "ordered", "ranked"]
