"""A layer written in overlay's form while its tar streams by; the tar itself is not kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from orlop.errors import InvalidLayerError
from orlop.rootfs.create import Creator, XattrPolicy, check_name
from orlop.rootfs.handles import Handles
from orlop.rootfs.layer import TRUSTED_PREFIX, USER_PREFIX, LayerDirectory, LayerTree
from orlop.rootfs.remove import remove_tree
from orlop.rootfs.write import WriteReport
from orlop.tree import Link, Put, directory
from orlop.tree.node import S_IFMT, S_IFREG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.tree import Entry, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """What became of a layer that was written as it streamed.

    Attributes:
        written: What was written, and what could not be.
        anywhere: As in `OverlayForm`.
        root_given: As in `OverlayForm`.
    """

    written: WriteReport
    anywhere: bool
    root_given: bool


class StreamWriter:
    """Fills an empty directory with a layer in overlay's form, from the chunks of its tar.

    A context manager: at its end all handles are closed, whatever happened. The directory is good
    only when `close` has returned; after any error the caller throws it away. Nothing is synced.

    Args:
        dir_fd: The empty directory, which nobody else writes to; borrowed.
        lowest: As in `overlay_form`.
        userxattr: As in `overlay_form`.
        ownership: As in `write_tree`.
        xattrs: As in `write_tree`.
    """

    def __init__(
        self,
        dir_fd: int,
        *,
        lowest: bool = False,
        userxattr: bool = False,
        ownership: bool = True,
        xattrs: XattrPolicy = "strict",
    ) -> None:
        root = LayerDirectory(None, b"", directory(), fd=dir_fd)
        self._handles = Handles(root)
        self._creator = Creator(
            ownership=ownership,
            xattrs=xattrs,
            where=self._where,
            overlay="user" if userxattr else "trusted",
        )
        prefix = USER_PREFIX if userxattr else TRUSTED_PREFIX
        self._tree = LayerTree(root, self, lowest=lowest, prefix=prefix)
        self._place = root
        self._name = b""
        self._skipped: set[Node] = set()
        self._inodes = 0
        self._links = 0
        # The file whose content passes by: its handle, and what of it is still to come, last first.
        self._fd = -1
        self._node = root.node
        self._extents: list[tuple[int, int, int]] = []
        self._creator.adopt_root(dir_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_file()
        self._handles.close()

    def feed(self, chunk: bytes | memoryview, base_offset: int, entries: Sequence[Entry]) -> None:
        """Write what the next chunk of the tar holds.

        Args:
            chunk: The bytes; none may be left out between one chunk and the next.
            base_offset: Where in the tar it begins.
            entries: What the scanner found in it.

        Raises:
            InvalidLayerError: As `overlay_form`.
            LimitExceededError: As `overlay_form`.
            NeedsParentsError: As `overlay_form`; found now, or at the end.
            UnsafePathError: A name is not one name in one directory.
            UnsupportedError: As `write_tree`.
            OSError: As `write_tree`.
        """
        view = memoryview(chunk)
        try:
            self._write(view, base_offset)
            for entry in entries:
                if type(entry) is Put:
                    self._put(entry)
                    self._write(view, base_offset)
                elif type(entry) is Link:
                    self._tree.link(entry)
                else:
                    self._tree.remove(entry)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._where()) from error

    def close(self) -> StreamReport:
        """Finish the layer: whiteouts, and the metadata of directories.

        Raises:
            InvalidLayerError: The stream ended inside a file; or as `overlay_form`.
            LimitExceededError: As `overlay_form`.
            NeedsParentsError: As `overlay_form`.
            UnsupportedError: As `write_tree`.
            OSError: As `write_tree`.
        """
        if self._fd >= 0:
            where = self._where().decode(errors="backslashreplace")
            raise InvalidLayerError("the tar ends inside this file's content", where=where)
        try:
            self._tree.finish()
            self._finish_directories()
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._where()) from error
        return StreamReport(
            written=WriteReport(
                inodes=self._inodes,
                links=self._links,
                dropped=tuple(self._creator.dropped),
                dropped_count=self._creator.dropped_count,
            ),
            anywhere=self._tree.anywhere,
            root_given=self._tree.root_given,
        )

    def make_directory(self, place: LayerDirectory) -> None:
        """Make a directory on disk, for `LayerTree`."""
        assert isinstance(place.parent, LayerDirectory)
        fd = self._at(place.parent, place.name)
        self._creator.make_directory(fd, place.name)
        self._inodes += 1

    def discard(self, place: LayerDirectory, name: bytes) -> None:
        """Remove an entry from disk, for `LayerTree`."""
        gone = [place.below[name]] if name in place.below else []
        while gone:
            here = gone.pop()
            self._handles.release(here)
            gone.extend(here.below.values())
        remove_tree(self._at(place, name), name)

    def link(
        self, target: LayerDirectory, target_name: bytes, place: LayerDirectory, name: bytes
    ) -> None:
        """Make a hard link on disk, for `LayerTree`."""
        self._at(place, name)
        if place.children[name] in self._skipped:
            return
        self._handles.link(target, target_name, place, name)
        self._links += 1

    def make_whiteout(self, place: LayerDirectory, name: bytes, node: Node) -> None:
        """Make a whiteout on disk, for `LayerTree`."""
        self._creator.make_special(self._at(place, name), name, node)
        self._inodes += 1

    def _where(self) -> bytes:
        return self._place.path(self._name)

    def _at(self, place: LayerDirectory, name: bytes) -> int:
        """The handle of the directory in which `name` is now worked on."""
        self._place = place
        self._name = name
        check_name(name)
        return self._handles.get(place)

    def _put(self, entry: Put) -> None:
        if self._fd >= 0:
            raise ValueError("an entry came before the content of the file before it")
        placed = self._tree.put(entry.path, entry.node)
        if placed is None:
            return
        place, name, node = placed
        dir_fd = self._at(place, name)
        if node.mode & S_IFMT == S_IFREG:
            self._open_file(dir_fd, name, node)
        elif not self._creator.make_special(dir_fd, name, node):
            self._skipped.add(node)
            return
        self._inodes += 1

    def _open_file(self, dir_fd: int, name: bytes, node: Node) -> None:
        self._fd = self._creator.open_file(dir_fd, name, node)
        self._node = node
        if node.segments is None:
            self._extents = [(node.offset, node.offset + node.size, 0)] if node.size else []
            return
        os.ftruncate(self._fd, node.size)
        offset = node.offset
        for start, length in node.segments:
            self._extents.append((offset, offset + length, start))
            offset += length
        self._extents.reverse()

    def _write(self, view: memoryview, base: int) -> None:
        """Write what `view` holds of the open file, and finish the file if that is all."""
        if self._fd < 0:
            return
        extents = self._extents
        while extents:
            start, end, position = extents.pop()
            if start < base:
                raise ValueError(f"the tar's bytes from {start} to {base} were left out")
            piece = view[start - base : end - base]
            while piece:
                count = os.pwrite(self._fd, piece, position)
                start += count
                position += count
                piece = piece[count:]
            if start < end:
                extents.append((start, end, position))
                return
        self._creator.finish_file(self._fd, self._node)
        self._close_file()

    def _close_file(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._extents = []
            os.close(fd)

    def _finish_directories(self) -> None:
        """Give all directories their metadata, each after those below it."""
        stack = [(self._tree.root, iter(self._tree.root.below.values()))]
        while stack:
            place, rest = stack[-1]
            below = next(rest, None)
            if below is not None:
                self._handles.get(below)
                stack.append((below, iter(below.below.values())))
                continue
            stack.pop()
            self._place, self._name = place, b""
            self._creator.finish_directory(self._handles.get(place), place.node)
            if place.parent is not None:
                self._handles.leave(place)
