"""`orlop disk`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, Literal
from uuid import UUID

from orlop.cli.failure import UsageError
from orlop.cli.obtain import PullWhen, obtain
from orlop.cli.parameter import Parameter
from orlop.cli.progress import single_bar
from orlop.cli.registry import DEFAULT_FLAGS, RegistryFlags
from orlop.cli.render import Format, human_size, print_json
from orlop.cli.settings import open_store
from orlop.cli.streams import source_date_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.disks import Disk, DiskOptions, DiskProgress

_SUFFIXES: Final = {"k": "KiB", "m": "MiB", "g": "GiB", "t": "TiB"}
_MAX_SIZE: Final = 1 << 50


def make(
    image: str,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o")],
    fs: Literal["erofs", "ext4", "squashfs"] = "erofs",
    layers: Annotated[bool, Parameter(negative="")] = False,
    max_disks: int | None = None,
    indexed: Annotated[bool, Parameter(negative="")] = False,
    size: str | None = None,
    compress: Literal["lz4", "zstd", "gzip", "xz"] | None = None,
    level: int | None = None,
    extent: str | None = None,
    block_size: int | None = None,
    verity: Annotated[bool, Parameter(negative="")] = False,
    beside: Annotated[bool, Parameter(negative="")] = False,
    salt: str = "",
    journal: bool = True,
    share: bool = True,
    label: str = "",
    uuid: str | None = None,
    pull: PullWhen = "missing",
    platform: str | None = None,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
    registry: RegistryFlags = DEFAULT_FLAGS,
) -> None:
    """Write an image as disks for virtual machines.

    Prints the path of each, the base first. The same image and options give the same bytes; no
    privilege is needed. A file gets its name when it is whole. SOURCE_DATE_EPOCH says when an ext4
    or squashfs was made; the time of the image's newest file counts where it is not set.

    Args:
        image: Its name or ID; or what `orlop pull` takes, of an image that is not here.
        output: The file, or a block device. Of several disks each is a file with its number before
            the suffix.
        fs: The filesystem. erofs and squashfs are read-only, ext4 is written to.
        layers: One disk for each layer, for an overlay in the machine.
        max_disks: With --layers, so many at most: the lowest layers are merged.
        indexed: One erofs that has the layers' tars in it as they are, for Linux 6.4. Where the
            filesystem shares blocks it takes no space.
        size: Of ext4, how large the disk is, such as 4G; or what is free on it, such as +1G. It is
            as small as can be, and full, where nothing is said.
        compress: What contents are compressed with: lz4 or zstd in erofs, which Linux 5.13 and 6.10
            read; all four in squashfs.
        level: How hard erofs' compression tries.
        extent: How many bytes erofs compresses at once, such as 64K.
        block_size: Bytes of a block, 4096 where it is not said, and 131072 for squashfs.
        verity: Let a dm-verity hash tree follow the filesystem, and print its root hash.
        beside: With --verity, write the tree into a file of its own, the disk's name and .verity.
        salt: What the tree is salted with, in hexadecimal digits.
        journal: Give ext4 a journal.
        share: Let files of equal content share blocks of an erofs.
        label: What an ext4 is called.
        uuid: The disk's UUID, instead of one that follows from what is on it.
        pull: When the image is pulled.
        platform: Which image of several is made into disks, and pulled if another one is here.
        quiet: Print paths alone, and no progress.
        format: How to print: table or json.
        registry: How registries are reached.
    """
    options = _options(
        fs=fs,
        layout="layers" if layers else "indexed" if indexed else "merged",
        max_disks=max_disks,
        compress=compress,
        level=level,
        extent=None if extent is None else _read_size(extent),
        block_size=block_size,
        verity=verity,
        beside=beside,
        salt=_read_hexadecimal(salt),
        journal=journal,
        share=share,
        label=label,
        uuid=None if uuid is None else _read_uuid(uuid),
        time=source_date_epoch() if fs != "erofs" else None,
    )
    if layers and indexed:
        raise UsageError("--layers and --indexed are two ways to make disks", hint="give one")
    if size is not None:
        options = _sized(options, size)
    with open_store() as store:
        found = obtain(store, image, pull, platform, registry, quiet=quiet)
        with _bar(quiet=quiet) as bar:
            disks = found.disks(output, options, progress=bar)
    _tell(disks, format, quiet=quiet)


def _options(**values: object) -> DiskOptions:
    from orlop.disks import DiskOptions

    try:
        return DiskOptions(**values)  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(str(error)) from None


def _sized(options: DiskOptions, size: str) -> DiskOptions:
    amount = _read_size(size.removeprefix("+"))
    try:
        return replace(options, **{"free" if size.startswith("+") else "size": amount})  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(str(error)) from None


def _read_size(text: str) -> int:
    """Bytes: `1G` and `1GiB` count in 1024, `1GB` in thousands."""
    from orlop.filters.quantity import read_size

    unit = _SUFFIXES.get(text[-1:].lower())
    found = read_size(text[:-1] + unit if unit else text)
    if found is None or found > _MAX_SIZE:
        raise UsageError(f"{text[:40]!r} is no size", hint="such as 512M, 4G or 2TiB")
    return found


def _read_hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"{text[:40]!r} is no even number of hexadecimal digits") from None


def _read_uuid(text: str) -> bytes:
    try:
        return UUID(text).bytes
    except ValueError:
        raise UsageError(f"{text[:40]!r} is no UUID") from None


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[DiskProgress], object] | None]:
    """A bar while the block runs; None where nobody would see it."""
    with single_bar("writing", "bytes", quiet=quiet) as update:
        if update is None:
            yield None
            return

        def show(step: DiskProgress) -> None:
            of = f"disk {step.disk + 1} of {step.disks}" if step.disks > 1 else "writing"
            update(of, step.done, step.total)

        yield show


def _tell(disks: list[Disk], format: Format, *, quiet: bool) -> None:  # noqa: A002
    if format == "json":
        print_json([_document(disk) for disk in disks])
        return
    for disk in disks:
        if not quiet:
            kernel = ".".join(map(str, disk.kernel))
            print(f"{disk.fs}, {human_size(disk.size)}, for Linux {kernel} on", file=sys.stderr)
            if disk.verity is not None:
                where = f"at {disk.verity.hash_offset} of {disk.hash_tree or disk.path}"
                print(f"root hash {disk.verity.root_hash.hex()}, tree {where}", file=sys.stderr)
        print(disk.path)


def _document(disk: Disk) -> dict[str, object]:
    found: dict[str, object] = {
        "path": str(disk.path),
        "fs": disk.fs,
        "size": disk.size,
        "diff_ids": list(disk.diff_ids),
        "kernel": ".".join(map(str, disk.kernel)),
    }
    if disk.verity is not None:
        found["verity"] = {
            "path": str(disk.hash_tree or disk.path),
            "root_hash": disk.verity.root_hash.hex(),
            "hash_offset": disk.verity.hash_offset,
            "salt": disk.verity.options.salt.hex(),
            "block_size": disk.verity.options.data_block_size,
        }
    return found
