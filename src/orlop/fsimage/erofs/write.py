"""Write an index: an image of metadata alone, whose files lie in tars mounted beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.fsimage.content import iter_content
from orlop.fsimage.erofs.devices import Device, encode_slots, make_slots, unique_devices
from orlop.fsimage.erofs.format import (
    CHUNK_ENTRY,
    CHUNK_INDEXES,
    INCOMPAT_CHUNKED_FILE,
    INCOMPAT_DEVICE_TABLE,
    SLOT_SIZE,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
)
from orlop.fsimage.erofs.index_plan import Form, IndexPlan
from orlop.fsimage.erofs.inodes import CHUNKS, PLAIN, InodeWriter
from orlop.fsimage.erofs.sign import encode_superblock, sign_superblock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.fsimage.output import ReadContent, Stream
    from orlop.tree.node import Node

_NO_READ: Final = "content must be copied, and there is nothing to read it with"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenImage:
    """What was written.

    Attributes:
        size: Bytes of the image.
        inodes: How many inodes it has.
        root_nid: The number of the root directory.
        block_size: Its block size in bytes.
        devices: What to mount beside it, in this order; each source once.
        offsets: Where each device begins, in bytes, in one file that has the image and all of them
            in it, and is mounted by itself; 0 where that cannot be.
        chunked: Whether the image has chunk tables, and not flat addresses alone.
        copied: Bytes of content that it holds itself.
    """

    size: int
    inodes: int
    root_nid: int
    block_size: int
    devices: tuple[Device, ...]
    offsets: tuple[int, ...]
    chunked: bool
    copied: int


def write_index(
    root: Node,
    devices: Sequence[Device],
    output: Stream,
    *,
    uuid: bytes,
    form: Form = "flat",
    block_bits: int = 9,
    read: ReadContent | None = None,
    drop_foreign_xattrs: bool = False,
    align: int = 1,
) -> WrittenImage:
    """Write the image that shows the tree, given the devices beside it, and say what it needs.

    The same tree, devices and arguments give the same bytes. The output is written from start to
    end and neither sought, flushed nor closed; after an error it holds part of an image.

    Args:
        root: The root directory; not changed.
        devices: Where the content of files lies, by `Node.source`; of a source that is given twice
            one device is made.
        output: Takes the image.
        uuid: The 16 bytes that identify the image. Another tree must have another, or overlays
            that stand on it mix up files.
        form: `flat` addresses content by the first block in a space that all devices share, 2 TiB
            with blocks of 512 bytes; `chunk` by device and block, as other tools write it. Files
            with holes have chunk tables in both.
        block_bits: 9 for blocks of 512 bytes, which the data in every tar is aligned to and
            Linux 6.4 is needed for; 12 for 4096.
        read: Gives bytes of a source at an offset, for content that is not aligned to blocks and
            is copied into the image; needed only where there is such content.
        drop_foreign_xattrs: Whether extended attributes of namespaces that Linux does not have,
            such as `com.apple.`, are left out; if not, they are an error.
        align: What `WrittenImage.offsets` are multiples of, in blocks.

    Raises:
        InvalidImageError: A name, a target or a size cannot be in any filesystem.
        InvalidLayerError: Content is said to lie where its device has none.
        LimitExceededError: Something is longer or more than the format or a limit allows.
        UnsupportedError: An attribute has no place in the format, or `read` is needed and missing.
        ValueError: The arguments do not fit together.
        OSError: The output failed.
    """
    if len(uuid) != 16:
        raise ValueError(f"a UUID of {len(uuid)} bytes")
    if block_bits not in {9, 12} or form not in {"flat", "chunk"}:
        raise ValueError(f"no index has {block_bits=} and {form=}")
    if not root.is_dir:
        raise ValueError("the root of a tree is a directory")
    devices = unique_devices(devices)
    plan = IndexPlan(
        root,
        make_slots(devices, block_bits),
        form=form,
        block_bits=block_bits,
        may_copy=read is not None,
        drop_foreign=drop_foreign_xattrs,
        align=align,
    )
    plan.count()
    plan.place()
    plan.finish()
    return _IndexWriter(plan, devices, uuid, output, read).write()


class _IndexWriter(InodeWriter):
    """Writes an index front to back: superblock, device table, inodes, blocks."""

    def __init__(
        self,
        plan: IndexPlan,
        devices: tuple[Device, ...],
        uuid: bytes,
        output: Stream,
        read: ReadContent | None,
    ) -> None:
        super().__init__(plan, output)
        self._plan: IndexPlan = plan
        self._devices = devices
        self._uuid = uuid
        self._read = read

    def write(self) -> WrittenImage:
        plan = self._plan
        self._buffer += bytes(SUPERBLOCK_OFFSET) + self._superblock()
        self._buffer += encode_slots(self._devices, plan.slots.values())
        return WrittenImage(
            size=self.write_all(),
            inodes=len(plan.order),
            root_nid=plan.nids[plan.root],
            block_size=plan.block_size,
            devices=self._devices,
            offsets=tuple(slot.base << plan.block_bits for slot in plan.slots.values()),
            chunked=plan.has_chunks,
            copied=plan.copied,
        )

    def _superblock(self) -> bytes:
        plan = self._plan
        incompat = (INCOMPAT_DEVICE_TABLE if self._devices else 0) | (
            INCOMPAT_CHUNKED_FILE if plan.has_chunks else 0
        )
        slots_at = (SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE) // SLOT_SIZE if self._devices else 0
        return encode_superblock(
            plan, self._uuid, incompat=incompat, devices=len(self._devices), slots_at=slots_at
        )

    def _flush(self) -> None:
        if not self._flushed:
            sign_superblock(self._buffer, self._plan.block_size)
        super()._flush()

    def regular(self, node: Node) -> tuple[int, int, int, bytes]:
        plan, size = self._plan, node.size
        if node in plan.maps:
            return self._chunked(node)
        if node in plan.starts:
            return PLAIN, size, plan.starts[node], b""
        slot, block = plan.slots[node.source], node.offset >> plan.block_bits
        if plan.form == "flat":
            return PLAIN, size, slot.base + block, b""
        chunk = max((size - 1).bit_length() - plan.block_bits, 0) | CHUNK_INDEXES
        return CHUNKS, size, chunk, CHUNK_ENTRY.pack(0, slot.number, block)

    def _chunked(self, node: Node) -> tuple[int, int, int, bytes]:
        plan, chunks = self._plan, self._plan.maps[node]
        slot = plan.slots.get(node.source)
        table = chunks.table(slot.number if slot else 0, plan.starts.get(node, 0), plan.block_bits)
        return CHUNKS, node.size, chunks.format(plan.block_bits), table

    def content(self, node: Node) -> Iterator[bytes]:
        assert self._read is not None, _NO_READ
        chunks = self._plan.maps.get(node)
        ranges = chunks.copied_ranges(node.size) if chunks else [(0, node.size)]
        for start, end in ranges:
            yield from iter_content(node, start, end, self._read)
