"""Layers compared: as a tar of what one adds to another, and as a list."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import ExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, BinaryIO, get_args

from orlop.compression import CompressionName, Compressor
from orlop.errors import NotFoundError
from orlop.storage.files import WrittenFiles, open_files
from orlop.storage.layers.ancestry import ancestry, require_owners, stack_of
from orlop.storage.layers.changes import changes_of, same_attributes
from orlop.storage.layers.contents import Contents, require_forms
from orlop.storage.layers.members import iter_members
from orlop.storage.layers.tarball import iter_tar, tar_size
from orlop.tree import difference, directory, iter_changes, lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from orlop.storage.core import StorageCore
    from orlop.storage.files import ImageFiles
    from orlop.storage.layers.ancestry import Located
    from orlop.storage.layers.members import Member
    from orlop.tree import Change, Node


class Differ:
    """Compares layers of a store.

    Args:
        storage: The store.
    """

    def __init__(self, storage: StorageCore) -> None:
        self._storage = storage

    def open(
        self,
        id: str,  # noqa: A002
        base: str | None,
        compression: CompressionName,
    ) -> BinaryIO:
        """What a layer adds to another one, as a tar; the tar that it was made of byte for byte.

        Raises:
            OrlopError: What a layer is made of is lost.
            OSError: It cannot be read.
            ValueError: There is no such compression.
        """
        if compression not in get_args(CompressionName):
            raise ValueError(f"{compression!r} is no compression: none, gzip and zstd are")
        layers = ancestry(self._storage, id)
        if _is_tar(layers, base):
            return stream_of(self._pieces_of_tar(layers), compression)
        require_owners(layers)
        return stream_of(self._pieces(layers, base), compression)

    def size(self, id: str, base: str | None) -> int:  # noqa: A002
        """The length of the uncompressed tar of `open`, in bytes."""
        layers = ancestry(self._storage, id)
        if _is_tar(layers, base):
            assert layers[0].row.diff_id is not None
            return layers[0].row.diff_size or self._storage.forms.size(layers[0].row.diff_id)
        with Contents(self._storage) as contents:
            return tar_size(self.members(contents, layers, base, root_time=False))

    def changes(self, id: str, base: str | None) -> list[Change]:  # noqa: A002
        """What a layer adds, modifies and deletes of another one, in byte order of the paths."""
        layers = ancestry(self._storage, id)
        require_owners(layers)
        with Contents(self._storage) as contents:
            if _is_nothing(layers, base):
                return []
            if _is_overlay(layers, base):
                with self._files(contents, layers[1:]) as below:
                    return changes_of(contents.written(layers[0]), below)
            old, new = self._trees(contents, layers, base)
            changes = iter_changes(old, new, contents.same)
            return [each for each in changes if each.path or not same_attributes(old, new)]

    def members(
        self,
        contents: Contents,
        layers: Sequence[Located],
        base: str | None = None,
        *,
        root_time: bool = True,
    ) -> Iterator[Member]:
        """The changeset that turns another layer into the first of these, as a tar has it.

        Args:
            contents: What reads them; the files' sources are its own.
            layers: The layer, and all below it.
            base: The other layer; the parent where None.
            root_time: Whether the root is told of though nothing but its time is another.
        """
        if _is_nothing(layers, base):
            return iter(())
        if _is_overlay(layers, base):
            members = self._written_members(contents, layers)
            return members if root_time else self._without_root(contents, layers, members)
        old, new = self._trees(contents, layers, base)
        below = partial(lookup, old, follow_last=False)
        members = iter_members(difference(old, new, contents.same), below)
        if root_time or not same_attributes(old, new):
            return members
        return (member for member in members if member[0].path)

    def _written_members(self, contents: Contents, layers: Sequence[Located]) -> Iterator[Member]:
        """What was written, as a tar has it; the layers below are opened if there are sockets."""
        with ExitStack() as stack:

            @cache
            def files() -> ImageFiles:
                return stack.enter_context(self._files(contents, layers[1:]))

            def below(path: bytes) -> Node | None:
                try:
                    return files().stat(path, follow=False)
                except NotFoundError:
                    return None

            yield from iter_members(contents.written(layers[0]), below)

    def _without_root(
        self, contents: Contents, layers: Sequence[Located], members: Iterator[Member]
    ) -> Iterator[Member]:
        """The same, without a root that is as it was below but for its time."""
        for entry, node in members:
            if not entry.path and node is not None:
                with self._files(contents, layers[1:]) as below:
                    if same_attributes(below.stat(b""), node):
                        continue
            yield entry, node

    def _trees(
        self, contents: Contents, layers: Sequence[Located], base: str | None
    ) -> tuple[Node, Node]:
        others = layers[1:] if base is None else ancestry(self._storage, base)
        require_forms(self._storage, layers)
        require_forms(self._storage, others)
        old = contents.tree(others) if others else directory()
        # A layer with a tar of its own was copied with what that has put in.
        if base in {None, layers[0].row.parent} and layers[0].row.diff_id is None:
            contents.compare_copy(layers[0])
        return old, contents.tree(layers)

    def _files(self, contents: Contents, layers: Sequence[Located]) -> ImageFiles:
        """The files of layers, found by an index where there is one."""
        if layers and not any(each.written for each in layers):
            stack = stack_of(layers)
            if stack.diff_ids:
                require_forms(self._storage, layers)
                return open_files(stack, self._storage.forms, self._storage.chains)
        return WrittenFiles(contents.tree(layers) if layers else directory(), _no_directory)

    def _pieces_of_tar(self, layers: Sequence[Located]) -> Iterator[bytes]:
        require_forms(self._storage, layers[:1])
        assert layers[0].row.diff_id is not None
        with open(self._storage.forms.path(layers[0].row.diff_id, "tar"), "rb") as tar:
            while piece := tar.read(1 << 20):
                yield piece

    def _pieces(self, layers: Sequence[Located], base: str | None) -> Iterator[bytes]:
        with Contents(self._storage) as contents:
            members = self.members(contents, layers, base, root_time=False)
            yield from iter_tar(members, contents.open)


def _is_tar(layers: Sequence[Located], base: str | None) -> bool:
    """Whether a layer is nothing but its tar, and is compared with what it stands on."""
    row = layers[0].row
    return row.diff_id is not None and not layers[0].written and base in {None, row.parent}


def _is_nothing(layers: Sequence[Located], base: str | None) -> bool:
    """Whether a layer has nothing of its own yet, and is compared with what it stands on."""
    row = layers[0].row
    return row.diff_id is None and not layers[0].written and base in {None, row.parent}


def _is_overlay(layers: Sequence[Located], base: str | None) -> bool:
    """Whether all that a layer changes of its parent lies in a directory of overlay's form."""
    row = layers[0].row
    return (
        row.diff_id is None
        and row.form != "tree"
        and layers[0].written
        and base in {None, row.parent}
    )


def _no_directory(_: Node) -> Path:
    raise NotFoundError("no file of this layer is to be read")


class _PieceStream(io.RawIOBase):
    """Pieces as a stream that is read once."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._left))
        view[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def close(self) -> None:
        if not self.closed and isinstance(self._pieces, Generator):
            self._pieces.close()
        super().close()


def stream_of(pieces: Iterator[bytes], compression: CompressionName) -> BinaryIO:
    """Pieces as a stream that is read once, compressed; closing it closes what gives them."""
    if compression != "none":
        pieces = _compressed(pieces, compression)
    return io.BufferedReader(_PieceStream(pieces), 1 << 20)


def _compressed(pieces: Iterator[bytes], compression: CompressionName) -> Iterator[bytes]:
    compressor = Compressor(compression)
    for piece in pieces:
        if found := compressor.feed(piece):
            yield found
    yield compressor.close()
