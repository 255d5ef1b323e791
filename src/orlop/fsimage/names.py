"""Names in the trees that become images: which are allowed, and how errors say which is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, LimitExceededError
from orlop.tree.node import walk

if TYPE_CHECKING:
    from collections.abc import Collection

    from orlop.errors import OrlopError
    from orlop.tree.node import Node

MAX_NAME: Final = 255
"""Bytes in a name, on Linux and in all formats."""
MAX_TARGET: Final = 4095
"""Bytes of a symbolic link's target: Linux's PATH_MAX without the NUL."""


def named(error: OrlopError, root: Node, node: Node) -> OrlopError:
    """The same error, its message led by a path of the node that it is about."""
    path = next((path for path, found in walk(root) if found is node), b"")
    return error.inside(f"/{path.decode(errors='backslashreplace')}")


def check_names(names: Collection[bytes]) -> None:
    """Refuse names that no directory can have; there is at least one.

    Raises:
        InvalidImageError: A name is empty, special, or has a slash or NUL in it.
        LimitExceededError: A name is too long.
    """
    joined = b"".join(names)
    if b"/" in joined or b"\0" in joined or not {b"", b".", b".."}.isdisjoint(names):
        raise InvalidImageError("a name is empty, special, or has a slash or NUL in it")
    longest = max(map(len, names))
    if longest > MAX_NAME:
        raise LimitExceededError(f"a name of {longest} bytes", limit="MAX_NAME", value=MAX_NAME)


def check_target(target: bytes) -> None:
    """Refuse what no symbolic link can say.

    Raises:
        InvalidImageError: The target is empty or has a NUL in it.
        LimitExceededError: The target is too long.
    """
    if not target or b"\0" in target:
        raise InvalidImageError("the target of a symbolic link is empty or has a NUL in it")
    if len(target) > MAX_TARGET:
        raise LimitExceededError(
            f"a symbolic link's target of {len(target)} bytes",
            limit="MAX_TARGET", value=MAX_TARGET,
        )  # fmt: skip
