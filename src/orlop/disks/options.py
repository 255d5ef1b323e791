"""What a disk is to be like."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from orlop.digest import Digest

Filesystem: TypeAlias = Literal["erofs", "ext4", "squashfs"]
Layout: TypeAlias = Literal["merged", "layers", "indexed"]
"""How an image becomes disks: `merged` is one that shows all of it; `layers` is one for each layer,
in overlay's form, base first; `indexed` is one EROFS that has the layers' tars in it as they are,
which costs no space where the filesystem can share blocks, and needs Linux 6.4."""
Compression: TypeAlias = Literal["lz4", "zstd", "gzip", "xz"]

FILESYSTEMS: Final[tuple[Filesystem, ...]] = ("erofs", "ext4", "squashfs")
WRITER_VERSIONS: Final[dict[Filesystem, int]] = {"erofs": 1, "ext4": 1, "squashfs": 1}
"""Versions of what writes them; disks of another one are built again."""

_COMPRESSIONS: Final[dict[Filesystem, tuple[Compression, ...]]] = {
    "erofs": ("lz4", "zstd"),
    "ext4": (),
    "squashfs": ("gzip", "lz4", "xz", "zstd"),
}
_BLOCK_SIZES: Final[dict[Filesystem, range]] = {
    "erofs": range(512, 4097),
    "ext4": range(4096, 4097),
    "squashfs": range(4096, (1 << 20) + 1),
}
_DEFAULT_BLOCK_SIZES: Final[dict[Filesystem, int]] = {
    "erofs": 4096, "ext4": 4096, "squashfs": 1 << 17,
}  # fmt: skip
_OWN: Final[dict[str, tuple[Filesystem, ...]]] = {
    "size": ("ext4",),
    "free": ("ext4",),
    "journal": ("ext4",),
    "label": ("ext4",),
    "time": ("ext4", "squashfs"),
    "level": ("erofs",),
    "extent": ("erofs",),
    "share": ("erofs",),
    "verity": ("erofs", "squashfs"),
    "beside": ("erofs", "squashfs"),
}
_NO_UUID: Final = bytes(16)
LAST_TIMES: Final[dict[Filesystem, int]] = {
    "erofs": 0, "ext4": (1 << 34) - (1 << 31) - 1, "squashfs": (1 << 32) - 1,
}  # fmt: skip
"""The last moments that they can say they were made at, in seconds since 1970; erofs says none."""
_MIN_SIZE: Final = 4096
_MIN_EXTENT: Final = 8192
MAX_LABEL: Final = 16
"""Bytes of a disk's label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskOptions:
    """How an image becomes disks; the same image and options give the same bytes.

    Attributes:
        fs: The filesystem: `erofs` and `squashfs` are read-only, `ext4` is written to.
        layout: How many disks, and what each shows.
        max_disks: Of `layers`, the most disks: the lowest layers are merged into one as far as
            needed. None for no limit.
        size: Of `ext4`, bytes of the disk; as few as will do where None.
        free: Of `ext4` without a size, bytes that can be written to it, at least.
        journal: Whether `ext4` has a journal.
        label: Of `ext4`, what the disk is called, at most `MAX_LABEL` bytes.
        compress: What contents are compressed with; nothing where None, and `squashfs` has `zstd`
            then. For `erofs`: `lz4` needs Linux 5.13, `zstd` 6.10.
        level: Of `erofs`, how hard that tries.
        extent: Of `erofs`, how many bytes are compressed at once.
        block_size: Bytes of a block; 4096, and 131,072 for `squashfs`, where None.
        share: Whether files of equal content share blocks of an `erofs`.
        uuid: The 16 bytes that identify the disk; those that follow from what is on it where None.
        time: Of `ext4` and `squashfs`, when it was made, in seconds since 1970; the time of the
            newest file where None.
        verity: Whether there is a dm-verity hash tree: behind the filesystem, or beside the disk.
        beside: Whether that is a file of its own, with `.verity` behind the disk's name.
        salt: What the hash tree is salted with, at most 256 bytes.

    Raises:
        ValueError: They do not fit together.
    """

    fs: Filesystem = "erofs"
    layout: Layout = "merged"
    max_disks: int | None = None
    size: int | None = None
    free: int = 0
    journal: bool = True
    label: str = ""
    compress: Compression | None = None
    level: int | None = None
    extent: int | None = None
    block_size: int | None = None
    share: bool = True
    uuid: bytes | None = None
    time: int | None = None
    verity: bool = False
    beside: bool = False
    salt: bytes = b""

    def __post_init__(self) -> None:
        if self.fs not in FILESYSTEMS:
            raise ValueError(f"{self.fs!r} is none of {', '.join(FILESYSTEMS)}")
        if self.layout not in {"merged", "layers", "indexed"}:
            raise ValueError(f"{self.layout!r} is none of merged, layers and indexed")
        self._check_own()
        self._check_layout()
        self._check_numbers()

    @property
    def bytes_of_block(self) -> int:
        """Bytes of a block."""
        return self.block_size or _DEFAULT_BLOCK_SIZES[self.fs]

    def _check_own(self) -> None:
        defaults = {field.name: field.default for field in fields(self)}
        for name, owners in _OWN.items():
            if self.fs not in owners and getattr(self, name) != defaults[name]:
                has = "has" if len(owners) == 1 else "have"
                raise ValueError(f"{self.fs} has no {name}: {' and '.join(owners)} {has}")
        if self.compress is not None and self.compress not in _COMPRESSIONS[self.fs]:
            known = ", ".join(_COMPRESSIONS[self.fs]) or "nothing"
            raise ValueError(f"{self.fs} is compressed with {known}, not with {self.compress}")
        if self.compress is None and (self.level, self.extent) != (None, None):
            raise ValueError("level and extent are those of a compression: ask for one, too")
        self._check_compression()

    def _check_compression(self) -> None:
        if self.level is None and self.extent is None:
            return
        from orlop.fsimage.erofs.codecs import LEVELS
        from orlop.fsimage.erofs.compressed import MAX_EXTENT

        low, high = LEVELS[self.compress]  # type: ignore[index]  # erofs has these two alone
        if self.level is not None and not low <= self.level <= high:
            raise ValueError(f"{self.compress} has levels {low} to {high}, not {self.level}")
        size = self.extent
        if size is not None and (not _MIN_EXTENT <= size <= MAX_EXTENT or size & size - 1):
            raise ValueError(
                f"an extent has 2**n bytes, {_MIN_EXTENT} to {MAX_EXTENT}, and not {size}"
            )

    def _check_layout(self) -> None:
        if self.layout == "layers" and self.fs == "ext4":
            raise ValueError("ext4 disks are written to: layers are erofs or squashfs")
        if self.layout == "indexed" and (self.fs != "erofs" or self.compress or self.verity):
            raise ValueError("indexed is erofs, neither compressed nor with a hash tree: not both")
        if self.layout == "indexed" and self.block_size not in {None, 512}:
            raise ValueError("indexed has blocks of 512 bytes, as tars have")
        if self.max_disks is not None and self.layout != "layers":
            raise ValueError("only of layers there can be a limit of disks: ask for layers, too")
        if self.max_disks is not None and self.max_disks < 1:
            raise ValueError("a limit of disks is 1 or more")

    def _check_numbers(self) -> None:
        size = self.block_size
        if size is not None and (size not in _BLOCK_SIZES[self.fs] or size & size - 1):
            low, high = _BLOCK_SIZES[self.fs][0], _BLOCK_SIZES[self.fs][-1]
            raise ValueError(f"{self.fs} has blocks of 2**n bytes, {low} to {high}, and not {size}")
        if self.uuid is not None and (len(self.uuid) != 16 or self.uuid == _NO_UUID):
            raise ValueError("a UUID has 16 bytes, not all of them zero")
        if len(self.label.encode()) > MAX_LABEL or "\0" in self.label:
            raise ValueError(f"a label has up to {MAX_LABEL} bytes (MAX_LABEL), and none is NUL")
        if self.free < 0 or (self.size is not None and (self.size < _MIN_SIZE or self.free)):
            raise ValueError(f"a size of {_MIN_SIZE} bytes or more, or free space of 0 or more")
        if self.time is not None and not 0 <= self.time <= LAST_TIMES[self.fs]:
            raise ValueError(f"{self.fs} has times from 0 to {LAST_TIMES[self.fs]} seconds")
        if len(self.salt) > 256 or (self.salt and not self.verity):
            raise ValueError("a salt of up to 256 bytes is that of a hash tree")
        if self.beside and not self.verity:
            raise ValueError("what is beside a disk is its hash tree, and it has none")

    def key(self) -> str:
        """Text that is the same for all who would write the same bytes for the same tree."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        told = " ".join(
            f"{name}={value!r}" for name, value in values if name not in {"layout", "max_disks"}
        )
        return f"writer={WRITER_VERSIONS[self.fs]} {told}"

    def uuid_for(self, what: Digest) -> bytes:
        """The UUID of a disk that shows a stack: its own, or one that follows from both.

        Spec: RFC 9562, section 5.8 (version 8).
        """
        if self.uuid is not None:
            return self.uuid
        name = f"orlop disk {what} {self.layout} {self.key()}".encode()
        uuid = bytearray(hashlib.sha256(name).digest()[:16])
        uuid[6] = uuid[6] & 0x0F | 0x80
        uuid[8] = uuid[8] & 0x3F | 0x80
        return bytes(uuid)
