"""squashfs images, which `tar2sqfs` or `mksquashfs` makes of a tar that is written for it.

What squashfs has no place for: sockets, fractions of a second, times before 1970 and from 2106 on,
and extended attributes but those of `user.`, `trusted.` and `security.`, thus POSIX ACLs.

Spec: Linux, Documentation/filesystems/squashfs.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from orlop.disks.newfile import new_file
from orlop.disks.squashfs_tools import LAST_SECOND, as_shown, choose_tool
from orlop.disks.tool import feed
from orlop.fsimage.content import iter_content, iter_zeros
from orlop.tar import iter_archive, tree_members
from orlop.tree import Put, walk
from orlop.tree.node import S_IFREG, S_IFSOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orlop.disks.squashfs_tools import SquashfsCompression
    from orlop.fsimage.output import ReadContent
    from orlop.tree import Link, Node

SquashfsProgress: TypeAlias = "Callable[[int, int], object]"
"""Called with the bytes of files that have been given to the tool, and those that there are."""

_COMPRESSIONS: Final = frozenset({"gzip", "zstd", "xz", "lz4", None})
_MIN_BLOCK_SIZE: Final = 4096
_MAX_BLOCK_SIZE: Final = 1 << 20


def write_squashfs(
    root: Node,
    path: Path,
    *,
    read: ReadContent,
    compression: SquashfsCompression | None = "zstd",
    time_s: int,
    block_size: int = 131_072,
    tool: str | None = None,
    progress: SquashfsProgress | None = None,
) -> int:
    """Write a tree as a squashfs image, and return its size in bytes.

    Success means that the image is complete and durable; it replaces what had the path. The same
    tree and arguments give the same bytes from the same version of the same tool. After any error
    or interruption the tool is gone and the path is what it was. Holes of files are given to the
    tool as zeros, which it finds again: that takes the time of as many bytes.

    Sockets, and extended attributes that squashfs has no place for, POSIX ACLs among them, are
    left out. Times are cut to whole seconds, and to those from 1970 to 2106. Names that begin
    with `.wh.` are names like others.

    Args:
        root: The root directory of the tree, with its layers merged; not changed.
        path: The file to make.
        read: Gives the bytes of files.
        compression: How data and metadata are compressed; None for not at all.
        time_s: When the image was made, as it says itself, in seconds since 1970.
        block_size: Bytes that are compressed together, a power of two from 4096 to 1 MiB.
        tool: The name or path of the program to use, a `tar2sqfs` or a `mksquashfs`; the first of
            these on the PATH that can do it if None.
        progress: Called after every piece of content; what it raises stops the work.

    Raises:
        InvalidLayerError: The source of a file has fewer bytes than the file.
        LimitExceededError: A name, a link target or the attributes are longer than Linux takes.
        ToolError: The tool failed; its last words are in the message.
        UnsupportedError: There is no tool, or the one to be used would show another tree.
        ValueError: An argument is out of its range, or the tree is none.
        OSError: A file could not be read, made or renamed.
    """
    _check(compression, time_s, block_size)
    chosen = choose_tool(tool, compression)
    chosen.check(root, time_s)
    pieces = _iter_tar(root, read, progress)
    with new_file(path) as file:
        command = chosen.command(root, file, compression, block_size, time_s)
        feed(command, pieces, chosen.environ(time_s))
        return file.stat().st_size


def _check(compression: str | None, time_s: int, block_size: int) -> None:
    if compression not in _COMPRESSIONS:
        raise ValueError(f"{compression!r} is none of gzip, zstd, xz and lz4")
    if not 0 <= time_s <= LAST_SECOND:
        raise ValueError(f"the time {time_s} is not from 1970 to 2106")
    if not _MIN_BLOCK_SIZE <= block_size <= _MAX_BLOCK_SIZE or block_size & block_size - 1:
        raise ValueError(f"blocks of {block_size} bytes: a power of two from 4096 to 1048576")


# The tar.


def _iter_tar(root: Node, read: ReadContent, progress: SquashfsProgress | None) -> Iterator[bytes]:
    files = {node for _, node in walk(root) if node.type == S_IFREG}
    total, done = sum(node.size for node in files), 0

    def content(node: Node) -> Iterator[bytes]:
        nonlocal done
        stored = node.source is not None
        for piece in iter_content(node, 0, node.size, read) if stored else iter_zeros(node.size):
            yield piece
            done += len(piece)
            if progress is not None:
                progress(done, total)

    return iter_archive(_iter_members(root), content, whiteouts=False)


def _iter_members(root: Node) -> Iterator[tuple[Put | Link, Node]]:
    for entry, node in tree_members(root):
        if node.type == S_IFSOCK:
            continue
        shown = as_shown(node)
        yield (Put(entry.path, shown) if type(entry) is Put else entry), shown
