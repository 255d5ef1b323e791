"""Descriptors and bitmaps of groups."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from orlop.fsimage.ext4.crc16 import crc16
from orlop.fsimage.ext4.format import BLOCK, DESCRIPTOR, GROUP, INODE_UNINIT, INODE_ZEROED

if TYPE_CHECKING:
    from orlop.fsimage.ext4.plan import Plan


def used_inodes(plan: Plan, group: int) -> int:
    """How many of a group's inodes are used; they are the first."""
    each = plan.geometry.group_inodes
    return min(max(plan.inodes.used - group * each, 0), each)


def block_bitmap(plan: Plan, group: int) -> bytes:
    """Which blocks of a group are used or do not exist; empty if all are free."""
    size = plan.geometry.group_size(group)
    bits = _run(size, GROUP)
    for start, end in plan.used.in_group(group):
        bits |= _run(start, end)
    return bits.to_bytes(BLOCK, "little") if bits else b""


def inode_bitmap(plan: Plan, group: int) -> bytes:
    """Which inodes of a group are used or do not exist; empty for a group that says so itself."""
    used = used_inodes(plan, group)
    bits = _run(0, used) | _run(plan.geometry.group_inodes, GROUP)
    return bits.to_bytes(BLOCK, "little") if used else b""


def _run(start: int, end: int) -> int:
    return (1 << end - start) - 1 << start


def encode_descriptors(plan: Plan) -> bytes:
    """The descriptors of all groups."""
    geometry = plan.geometry
    places = [[0, 0, 0] for _ in range(geometry.groups)]
    kinds = {"blocks": 0, "inodes": 1, "table": 2}
    for start, _, kind, group in plan.regions:
        if kind != "super":
            places[group][kinds[kind]] = start
    directories = _directories(plan)
    encoded = bytearray()
    for group, where in enumerate(places):
        runs = plan.used.in_group(group)
        free = geometry.group_size(group) - sum(end - start for start, end in runs)
        used = used_inodes(plan, group)
        unused = geometry.group_inodes - used
        flags = INODE_ZEROED | (0 if used else INODE_UNINIT)
        descriptor = DESCRIPTOR.pack(*where, free, unused, directories[group], flags, unused, 0)
        checksum = crc16(plan.options.uuid + struct.pack("<I", group) + descriptor[:-2])
        encoded += descriptor[:-2] + struct.pack("<H", checksum)
    return bytes(encoded)


def _directories(plan: Plan) -> list[int]:
    """How many directories have their inode in each group."""
    each, number = plan.geometry.group_inodes, plan.inodes.number
    counts = [0] * plan.geometry.groups
    for place, node in enumerate(plan.inodes.order):
        if node.children is not None:
            counts[(number(place) - 1) // each] += 1
    return counts
