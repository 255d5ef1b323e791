"""The files of an image, listed and read without a mount and without privilege."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from orlop._sys.openat2 import open_beneath
from orlop.errors import InvalidError, NotFoundError, UnsupportedError
from orlop.fsimage.erofs import ErofsReader
from orlop.storage.chains import INDEX, ROOTFS
from orlop.storage.forms import CHANGESET
from orlop.tree import Node, lookup, walk
from orlop.tree.node import S_IFREG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from orlop.fsimage.erofs import ReadAt
    from orlop.storage.chains import ChainStore, Stack
    from orlop.storage.forms import FormStore


class ImageFiles(Protocol):
    """The files of one image; a context manager. Paths are bytes; links lead inside the root."""

    def stat(self, path: bytes, *, follow: bool = True) -> Node:
        """What is at a path, without children.

        Raises:
            NotFoundError: There is nothing.
        """

    def list(self, path: bytes) -> list[tuple[bytes, Node]]:
        """The entries of a directory, in byte order of their names.

        Raises:
            NotFoundError: There is no such directory.
        """

    def open(self, path: bytes) -> BinaryIO:
        """A regular file, for reading.

        Raises:
            NotFoundError: There is nothing.
            UnsupportedError: It is no regular file.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_files(stack: Stack, forms: FormStore, chains: ChainStore) -> ImageFiles:
    """The files of a stack, from whatever forms its layers have.

    Raises:
        NotFoundError: The layers are not unpacked in any form that can be read.
        InvalidLayerError: The layers do not fit on each other.
    """
    if all(forms.find(diff_id, "tar") for diff_id in stack.diff_ids):
        index = chains.find(stack, INDEX)
        return IndexedFiles(
            index if index is not None else _index_in_memory(stack, chains), chains.devices(stack)
        )
    merged = chains.find(stack, ROOTFS)
    if merged is not None:
        return WrittenFiles(chains.tree(stack), lambda _: merged)
    return WrittenFiles(chains.tree(stack), lambda node: _directory_of(node, forms))


def is_readable(stack: Stack, forms: FormStore, chains: ChainStore) -> bool:
    """Whether the layers have forms, whole ones as far as is known, that `open_files` can read."""
    changesets = all(forms.find(diff_id, CHANGESET) for diff_id in stack.diff_ids)
    if all(forms.find(diff_id, "tar") for diff_id in stack.diff_ids):
        return changesets or chains.find(stack, INDEX) is not None
    if not changesets:
        return False
    return chains.find(stack, ROOTFS) is not None or all(
        forms.usable(diff_id, "diff", "base") for diff_id in stack.diff_ids
    )


def _index_in_memory(stack: Stack, chains: ChainStore) -> bytes:
    output = io.BytesIO()
    chains.write_index(stack, output)
    return output.getvalue()


def _directory_of(node: Node, forms: FormStore) -> Path:
    """The directory of the layer that a file's content came with."""
    assert node.source is not None
    kind = forms.usable(node.source, "diff", "base")
    if kind is None:
        raise NotFoundError(f"layer {node.source} is not unpacked", hint="pull the image again")
    return forms.path(node.source, kind)


class IndexedFiles:
    """Files that lie in tars, found by an index.

    Args:
        index: The merged index: its file, or its bytes.
        tars: Its devices.
    """

    def __init__(self, index: Path | bytes, tars: Sequence[Path]) -> None:
        self._fds: list[int] = []
        try:
            read_index = _slices(index) if isinstance(index, bytes) else self._open(index)
            self._reader = ErofsReader(read_index, [self._open(path) for path in tars])
        except BaseException:
            self._close()
            raise

    def stat(self, path: bytes, *, follow: bool = True) -> Node:
        """See `ImageFiles.stat`."""
        return self._reader.stat(self._reader.lookup(path, follow=follow))

    def list(self, path: bytes) -> list[tuple[bytes, Node]]:
        """See `ImageFiles.list`."""
        inode = self._reader.lookup(path)
        return [
            (entry.name, self._reader.stat(self._reader.inode(entry.nid)))
            for entry in self._reader.list(inode)
        ]

    def open(self, path: bytes) -> BinaryIO:
        """See `ImageFiles.open`."""
        inode = self._reader.lookup(path)
        if inode.type != S_IFREG:
            raise _no_file(path)
        return self._reader.open(inode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _open(self, path: Path) -> ReadAt:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._fds.append(fd)

        def read_at(offset: int, size: int, /) -> bytes:
            return os.pread(fd, size, offset)

        return read_at

    def _close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())


class WrittenFiles:
    """Files that were written out, found by the merged tree.

    Args:
        root: The merged tree.
        directory_of: The directory that has the content of a node, under the node's own path.
    """

    def __init__(self, root: Node, directory_of: Callable[[Node], Path]) -> None:
        self._root = root
        self._directory_of = directory_of

    def stat(self, path: bytes, *, follow: bool = True) -> Node:
        """See `ImageFiles.stat`."""
        node = lookup(self._root, path, follow_last=follow)
        if node is None:
            raise NotFoundError(f"no {_show(path)} in the image")
        return node

    def list(self, path: bytes) -> list[tuple[bytes, Node]]:
        """See `ImageFiles.list`."""
        node = self.stat(path)
        if node.children is None:
            raise NotFoundError(f"{_show(path)} is no directory")
        return sorted(node.children.items())

    def open(self, path: bytes) -> BinaryIO:
        """See `ImageFiles.open`."""
        node = self.stat(path)
        if node.type != S_IFREG:
            raise _no_file(path)
        if node.source is None and not node.size:
            return io.BytesIO()
        name = next(name for name, found in walk(self._root) if found is node)
        handle = os.open(self._directory_of(node), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return os.fdopen(open_beneath(handle, name, os.O_RDONLY), "rb")
        finally:
            os.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def _slices(data: bytes) -> ReadAt:
    def read_at(offset: int, size: int, /) -> bytes:
        return data[offset : offset + size]

    return read_at


def _no_file(path: bytes) -> InvalidError | UnsupportedError:
    return UnsupportedError(f"{_show(path)} is no regular file")


def _show(path: bytes) -> str:
    return "/" + path.lstrip(b"/").decode("utf-8", "backslashreplace")
