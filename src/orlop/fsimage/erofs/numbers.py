"""The numbers of a node, and whether an inode has room for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidImageError, LimitExceededError
from orlop.fsimage.erofs.format import MAX_MAJOR, MAX_MINOR, TYPE_TO_FTYPE
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFMT

if TYPE_CHECKING:
    from orlop.tree.node import Node

_NANOSECONDS: Final = 1_000_000_000
_MAX_SECONDS: Final = (1 << 63) - 1
_MAX_OWNER: Final = 0xFFFFFFFF
_MAX_SIZE: Final = (1 << 63) - 1
EARLIEST_NS: Final = -(1 << 63) * _NANOSECONDS
LATEST_NS: Final = _MAX_SECONDS * _NANOSECONDS + _NANOSECONDS - 1


def check_numbers(node: Node) -> None:
    """Return if an inode has room for all numbers of the node.

    Raises:
        InvalidImageError: It is of no type that there is, or has less than no bytes.
        LimitExceededError: An owner, a size, a time or a device number is out of range.
    """
    kind = node.mode & S_IFMT
    if node.mode >> 16 or kind not in TYPE_TO_FTYPE:
        raise InvalidImageError(f"an inode of mode {node.mode:#o}")
    for owner in (node.uid, node.gid):
        _require(owner, 0, _MAX_OWNER, "MAX_OWNER")
    if node.size < 0:
        raise InvalidImageError(f"a file of {node.size} bytes")
    _require(node.size, 0, _MAX_SIZE, "MAX_SIZE")
    seconds = node.mtime_ns // _NANOSECONDS
    _require(seconds, -_MAX_SECONDS - 1, _MAX_SECONDS, "MAX_MTIME")
    if kind in {S_IFBLK, S_IFCHR}:
        _require(node.rdev, 0, (1 << 64) - 1, "MAX_MAJOR")
        _require(os.major(node.rdev), 0, MAX_MAJOR, "MAX_MAJOR")
        _require(os.minor(node.rdev), 0, MAX_MINOR, "MAX_MINOR")


def _require(value: int, low: int, high: int, limit: str) -> None:
    if not low <= value <= high:
        raise LimitExceededError(f"{value} is out of range", limit=limit, value=high)
