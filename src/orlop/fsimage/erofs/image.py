"""Write a full image: the tree with all its content, to be mounted by itself.

The first blocks hold the superblock; then come the contents of files, each at a block of its own;
then the inodes, packed so that what must lie in one block does: small files and the ends of others
lie beside their inodes. Nothing of it is held in memory but the tree and where everything is, so
that the superblock, which comes first, is written last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.fsimage.erofs.compressed import encode_configuration
from orlop.fsimage.erofs.contents import Contents
from orlop.fsimage.erofs.format import (
    INCOMPAT_CHUNKED_FILE,
    INCOMPAT_COMPR_CFGS,
    INCOMPAT_LZ4_0PADDING,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
)
from orlop.fsimage.erofs.image_plan import ImagePlan
from orlop.fsimage.erofs.inodes import CHUNKS, COMPRESSED, INLINE, PLAIN, InodeWriter
from orlop.fsimage.erofs.sign import encode_superblock, sign_superblock

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.fsimage.erofs.compressed import Codec
    from orlop.fsimage.output import PatchableOutput, ReadContent
    from orlop.tree.node import Node

Kernel: TypeAlias = tuple[int, int]

PLAIN_KERNEL: Final[Kernel] = (5, 4)
HOLES_KERNEL: Final[Kernel] = (5, 15)
SMALL_BLOCKS_KERNEL: Final[Kernel] = (6, 4)
SMALL_BLOCKS_COMPRESSED_KERNEL: Final[Kernel] = (6, 8)
BLOCK_BITS: Final = (9, 12)
"""log2 of the smallest and the largest block size: Linux mounts none that is larger than a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenErofs:
    """What was written.

    Attributes:
        size: Bytes of the image.
        inodes: How many inodes it has.
        block_size: Its block size in bytes.
        shared: Bytes of content that were not written, since a file with the same was before.
        kernel: The oldest Linux that can mount it, such as (5, 4).
    """

    size: int
    inodes: int
    block_size: int
    shared: int
    kernel: Kernel


def write_image(
    root: Node,
    output: PatchableOutput,
    *,
    read: ReadContent,
    uuid: bytes,
    block_bits: int = 12,
    codec: Codec | None = None,
    share: bool = True,
    drop_foreign_xattrs: bool = False,
    progress: Callable[[int], object] | None = None,
) -> WrittenErofs:
    """Write the tree as an image that needs nothing beside it.

    The same tree, content and arguments give the same bytes. After an error the output holds part
    of an image, without a superblock.

    Args:
        root: The root directory; not changed.
        output: Takes the image; its first block is changed at the end.
        read: Gives the contents of files.
        uuid: The 16 bytes that identify the image.
        block_bits: log2 of the block size: 12 for 4096 bytes, which every Linux and every disk
            takes; 9 to 11 save room for small files and need Linux 6.4, or 6.8 with a codec.
        codec: What compresses contents, see `make_codec`; nothing where None.
        share: Whether files of equal content share their blocks.
        drop_foreign_xattrs: Whether extended attributes of namespaces that Linux does not have,
            such as `com.apple.`, are left out; if not, they are an error.
        progress: Called with bytes of content that are done, again and again.

    Raises:
        InvalidImageError: A name, a target or a size cannot be in any filesystem.
        InvalidLayerError: Content is said to lie where its source has none.
        LimitExceededError: Something is longer or more than the format or a limit allows.
        UnsupportedError: An attribute has no place in the format.
        ValueError: The arguments do not fit together.
        OSError: The output failed.
    """
    if len(uuid) != 16:
        raise ValueError(f"a UUID of {len(uuid)} bytes")
    if not BLOCK_BITS[0] <= block_bits <= BLOCK_BITS[1]:
        raise ValueError(f"blocks of 2**{block_bits} bytes")
    if not root.is_dir:
        raise ValueError("the root of a tree is a directory")
    plan = ImagePlan(root, block_bits=block_bits, drop_foreign=drop_foreign_xattrs)
    plan.count()
    plan.check()
    head = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE
    if codec is not None:
        head += len(encode_configuration(codec))
    first = -(-head >> block_bits)
    output.skip(first << block_bits)
    contents = Contents(
        output, read, root=root, block_bits=block_bits, first=first, beside=plan.beside,
        codec=codec, share=share, progress=progress,
    )  # fmt: skip
    contents.write(plan.order)
    plan.place_on(contents)
    writer = _ImageWriter(plan, output, contents, codec)
    writer.write_all()
    output.write_at(0, writer.head(uuid))
    return WrittenErofs(
        size=plan.blocks << block_bits,
        inodes=len(plan.order),
        block_size=plan.block_size,
        shared=contents.shared,
        kernel=_kernel(contents, codec, block_bits),
    )


def _kernel(contents: Contents, codec: Codec | None, block_bits: int) -> Kernel:
    needed = [PLAIN_KERNEL]
    if contents.maps:
        needed.append(HOLES_KERNEL)
    if block_bits < 12:
        needed.append(SMALL_BLOCKS_COMPRESSED_KERNEL if codec else SMALL_BLOCKS_KERNEL)
    if codec is not None:
        needed.append(codec.kernel)
    return max(needed)


class _ImageWriter(InodeWriter):
    """Writes the inodes behind the contents, and the superblock."""

    def __init__(
        self,
        plan: ImagePlan,
        output: PatchableOutput,
        contents: Contents,
        codec: Codec | None,
    ) -> None:
        super().__init__(plan, output)
        self._image = plan
        self._contents = contents
        self._codec = codec

    def regular(self, node: Node) -> tuple[int, int, int, bytes]:
        contents, size = self._contents, node.size
        if node in contents.maps:
            chunks, bits = contents.maps[node], self._plan.block_bits
            return CHUNKS, size, chunks.format(bits), chunks.table(0, contents.starts[node], bits)
        if node in contents.extents:
            assert self._codec is not None, "nothing compressed it"
            extents = contents.extents[node]
            return COMPRESSED, size, extents.blocks, extents.encode(self._codec.algorithm)
        tail = self._image.beside(node)
        if not tail:
            return PLAIN, size, contents.starts[node], b""
        return INLINE, size, contents.starts[node], contents.part(node, size - tail, size)

    def head(self, uuid: bytes) -> bytes:
        """The blocks before the contents."""
        incompat, algorithms, configuration = 0, 0, b""
        if self._contents.maps:
            incompat |= INCOMPAT_CHUNKED_FILE
        if self._codec is not None:
            incompat |= INCOMPAT_LZ4_0PADDING | INCOMPAT_COMPR_CFGS
            algorithms = 1 << self._codec.algorithm
            configuration = encode_configuration(self._codec)
        head = bytearray(SUPERBLOCK_OFFSET)
        head += encode_superblock(self._plan, uuid, incompat=incompat, algorithms=algorithms)
        head += configuration
        head += bytes(-len(head) % self._plan.block_size)
        sign_superblock(head, self._plan.block_size)
        return bytes(head)
