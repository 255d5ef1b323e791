"""The filesystems of disks: what writes each, with the options that it has."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.disks.options import LAST_TIMES, DiskOptions, Filesystem
from orlop.disks.target import DiskTarget
from orlop.fsimage.output import ReadContent
from orlop.tree import Node, walk

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.disks.trees import Slice
    from orlop.storage.forms import FormStore
    from orlop.storage.tars import LayerTars

Kernel: TypeAlias = tuple[int, int]
Report: TypeAlias = Callable[[int], object] | None

_INDEX_KERNEL: Final[Kernel] = (6, 4)
_EXT4_KERNEL: Final[Kernel] = (4, 14)
_SQUASHFS_KERNEL: Final[Kernel] = (2, 6)
_SQUASHFS_ZSTD_KERNEL: Final[Kernel] = (4, 14)
_SECOND: Final = 10**9
_TAR_BITS: Final = 9
_MAX_KEPT_BACK: Final = 4096 << 12
_MAPPING: Final = 1024
_ALIGN: Final = 1 << 16
"""What tars in a disk begin at multiples of: no filesystem that shares blocks has larger ones."""


def _write_erofs(
    root: Node,
    target: DiskTarget,
    read: ReadContent,
    options: DiskOptions,
    uuid: bytes,
    report: Report,
) -> Kernel:
    from orlop.fsimage.erofs import make_codec, write_image

    codec = None
    if options.compress == "lz4" or options.compress == "zstd":
        codec = make_codec(options.compress, level=options.level, extent=options.extent)
    return write_image(
        root,
        target,
        read=read,
        uuid=uuid,
        block_bits=options.bytes_of_block.bit_length() - 1,
        codec=codec,
        share=options.share,
        drop_foreign_xattrs=True,
        progress=report,
    ).kernel


def _write_ext4(
    root: Node,
    target: DiskTarget,
    read: ReadContent,
    options: DiskOptions,
    uuid: bytes,
    report: Report,
) -> Kernel:
    from orlop.fsimage.ext4 import Ext4Options, measure_ext4, write_ext4

    wanted = Ext4Options(
        uuid=uuid,
        label=options.label.encode(),
        size=options.size,
        free=options.free and options.free + _kept_back(options.free),
        journal=options.journal,
        time_ns=_time_of(root, options) * _SECOND,
        drop_foreign_xattrs=True,
    )
    target.require(measure_ext4(root, wanted).size)
    write_ext4(root, target, read=_reported(read, report), options=wanted)
    return _EXT4_KERNEL


def _write_squashfs(
    root: Node,
    target: DiskTarget,
    read: ReadContent,
    options: DiskOptions,
    _uuid: bytes,
    report: Report,
) -> Kernel:
    """A program writes it, to a file of its own, which then goes to its place."""
    from orlop.disks.squashfs import write_squashfs

    compression = options.compress or "zstd"
    with tempfile.TemporaryDirectory(prefix=".orlop-", dir=target.place) as place:
        path = Path(place) / "disk"
        size = write_squashfs(
            root,
            path,
            read=_reported(read, report),
            compression=compression,
            time_s=_time_of(root, options),
            block_size=options.bytes_of_block,
        )
        with open(path, "rb") as file:
            target.copy(file.fileno(), size)
    return _SQUASHFS_ZSTD_KERNEL if compression == "zstd" else _SQUASHFS_KERNEL


def _kept_back(free: int) -> int:
    """What Linux lets nobody write to, of a mounted ext4, and what tells where large files are.

    Spec: Linux, fs/ext4/super.c, `ext4_calculate_resv_clusters`: a fiftieth, 4096 blocks at most.
    """
    return _MAX_KEPT_BACK + free // _MAPPING


def _time_of(root: Node, options: DiskOptions) -> int:
    """When a disk was made, as it says itself; a file may say that it is of a later time."""
    if options.time is not None:
        return options.time
    return min(newest(root), LAST_TIMES[options.fs])


def _reported(read: ReadContent, report: Report) -> ReadContent:
    """The same contents, of which each piece is reported when it is read."""
    if report is None:
        return read

    def reading(source: Digest, offset: int, size: int) -> bytes:
        piece = read(source, offset, size)
        report(len(piece))
        return piece

    return reading


Writer: TypeAlias = Callable[[Node, DiskTarget, ReadContent, DiskOptions, bytes, Report], Kernel]
WRITERS: Final[dict[Filesystem, Writer]] = {
    "erofs": _write_erofs,
    "ext4": _write_ext4,
    "squashfs": _write_squashfs,
}


def newest(root: Node) -> int:
    """The time of the newest file, in seconds since 1970; 0 where all are older than that."""
    return max(0, max(node.mtime_ns for _, node in walk(root)) // 10**9)


def write_indexed(
    root: Node, target: DiskTarget, tars: LayerTars, uuid: bytes, forms: FormStore, what: Slice
) -> Kernel:
    """Write the merged index of layers, and their tars behind it as they are.

    Where the filesystem can, the tars share their blocks with those of the store.
    """
    from orlop.fsimage.erofs import Device, write_index

    sources = dict.fromkeys(what.diff_ids)
    written = write_index(
        root,
        [Device(source, forms.size(source)) for source in sources],
        target,
        uuid=uuid,
        read=tars.read,
        drop_foreign_xattrs=True,
        align=_ALIGN >> _TAR_BITS,
    )
    for device, offset in zip(written.devices, written.offsets, strict=True):
        target.skip(offset - target.size)
        target.copy(tars.open(device.source), device.size)
    target.skip(-target.size % 4096)
    return _INDEX_KERNEL
