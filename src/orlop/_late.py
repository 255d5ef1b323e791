"""Names of a package that are loaded when somebody asks for them.

A package hands on the names of its modules. Whoever needs one of them need not wait until all are
loaded: a command that asks the records for one layer uses three of a dozen modules.

Spec: PEP 562.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def late(
    places: Mapping[str, str],
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package.

    Args:
        places: The names that it hands on, parted by spaces, by the module that has them.
    """
    found = {name: module for module, names in places.items() for name in names.split()}

    def load(name: str) -> object:
        if name not in found:
            raise AttributeError(f"there is no {name!r} here")
        return getattr(import_module(found[name]), name)

    return load, lambda: sorted(found)
