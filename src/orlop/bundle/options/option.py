"""What an option is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from orlop.spec.runtime import RuntimeSpec

SpecOption: TypeAlias = Callable[[RuntimeSpec], None]
"""A function that changes a configuration in place, and raises where it cannot.

    def quiet(spec):
        spec.section("process")["oomScoreAdj"] = 500
"""
