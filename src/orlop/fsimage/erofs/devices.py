"""Extra devices: the tars that an index points into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orlop.errors import InvalidLayerError, LimitExceededError
from orlop.fsimage.erofs.format import DEVICE_SLOT, MAX_BLOCKS, MAX_DEVICES, TAG_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.digest import Digest
    from orlop.tree.node import Node


@dataclass(frozen=True, slots=True)
class Device:
    """A store of bytes that is mounted beside the image.

    Attributes:
        source: What nodes name it by: a layer's diffID.
        size: Its size in bytes.
        tag: Text for its slot, at most 64 bytes; by default the digits of `source`.
    """

    source: Digest
    size: int
    tag: str = ""


class Slot:
    """A device with its place in the device table.

    Attributes:
        number: Its number in chunk tables, from 1.
        size: Its size in bytes.
        blocks: How many whole blocks it has; only these can be addressed.
        base: Its first block in the unified address space, once that is known; 0 where it has none.
    """

    __slots__ = ("base", "blocks", "number", "size")

    def __init__(self, number: int, size: int, blocks: int) -> None:
        self.number = number
        self.size = size
        self.blocks = blocks
        self.base = 0

    def check(self, node: Node, stored: int) -> None:
        """Return if the `stored` bytes of `node` lie in the device.

        Raises:
            InvalidLayerError: They do not.
        """
        if node.offset < 0 or node.offset + stored > self.size:
            raise InvalidLayerError(
                f"{stored} bytes at {node.offset} of {node.source}, which has {self.size}"
            )


def unique_devices(devices: Iterable[Device]) -> tuple[Device, ...]:
    """The devices in order, each source once.

    Raises:
        ValueError: One source has two sizes.
        LimitExceededError: There are more than fit in the device table.
    """
    unique: dict[Digest, Device] = {}
    for device in devices:
        if unique.setdefault(device.source, device).size != device.size:
            raise ValueError(f"{device.source} is given with two sizes")
    if len(unique) > MAX_DEVICES:
        raise LimitExceededError(
            f"{len(unique)} devices", limit="MAX_DEVICES", value=MAX_DEVICES,
            hint="merge layers before indexing them",
        )  # fmt: skip
    return tuple(unique.values())


def make_slots(devices: Iterable[Device], block_bits: int) -> dict[Digest | None, Slot]:
    """A slot for each device, by its source.

    Raises:
        ValueError: A size is negative.
        LimitExceededError: A device is too large for 32-bit addresses.
    """
    slots: dict[Digest | None, Slot] = {}
    for number, device in enumerate(devices, 1):
        blocks = device.size >> block_bits
        if device.size < 0:
            raise ValueError(f"{device.source} has a negative size")
        if blocks >= MAX_BLOCKS:
            raise LimitExceededError(
                f"{device.source} has {blocks} blocks of {1 << block_bits} bytes",
                limit="MAX_BLOCKS", value=MAX_BLOCKS,
            )  # fmt: skip
        slots[device.source] = Slot(number, device.size, blocks)
    return slots


def assign_bases(
    slots: Iterable[Slot], primary_blocks: int, *, required: bool, align: int = 1
) -> None:
    """Give each slot its part of the unified address space, behind the primary device.

    Args:
        slots: The slots in order.
        primary_blocks: Size of the primary device.
        align: What their first blocks are multiples of.
        required: Whether content is addressed that way; if not, slots that do not fit have none.

    Raises:
        LimitExceededError: A required address does not fit in 32 bits.
    """
    base = primary_blocks
    for slot in slots:
        base += -base % align
        end = base + slot.blocks
        if end < MAX_BLOCKS:
            slot.base = base
        elif required:
            raise LimitExceededError(
                f"image and devices together have {end} blocks or more",
                limit="MAX_BLOCKS", value=MAX_BLOCKS,
                hint="use the chunk form, whose devices have address spaces of their own",
            )  # fmt: skip
        base = end


def encode_slots(devices: Iterable[Device], slots: Iterable[Slot]) -> bytes:
    """The device table.

    Raises:
        ValueError: A tag is too long.
    """
    return b"".join(map(_encode_slot, devices, slots))


def _encode_slot(device: Device, slot: Slot) -> bytes:
    # Kernels refuse an empty tag where devices are found by tag.
    tag = device.tag.encode() or device.source.encoded.encode()[:TAG_SIZE]
    if len(tag) > TAG_SIZE:
        raise ValueError(f"device tag {device.tag!r} has more than {TAG_SIZE} bytes")
    return DEVICE_SLOT.pack(tag, slot.blocks, slot.base, 0, 0)
