"""What a driver is: one form of an image layout, such as a directory, a tar, or a dictionary.

Only the functions of `orlop.layout` call a driver's methods. They hand in paths that are relative,
with slashes, and have been checked: no driver ever sees `..`, an empty segment or a leading slash.

Five methods make a driver. What else one can do it says by having the methods of `Lockable`,
`Shareable`, `Enumerable`, `Cleanable`, `Structured` or `Dated`; nothing is registered or inherited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import IO, TypeAlias

    from orlop.digest import Digest

    Data: TypeAlias = bytes | bytearray | memoryview


class Reader(Protocol):
    """The bytes of one file; what `open(path, "rb")` and `io.BytesIO` are."""

    def read(self, size: int = -1, /) -> bytes | None:
        """At most `size` bytes, all that remain where negative; none at the end."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to an offset, as in a file; the offset from the beginning."""

    def close(self) -> None:
        """Give the file back; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> object: ...


class Writer(Protocol):
    """A file on its way in: it appears whole with `commit`, or never.

    Leaving the context closes it; closed without `commit`, it leaves no trace.
    """

    def write(self, data: Data, /) -> int:
        """Append all of `data`; its length in bytes."""

    def commit(self) -> None:
        """Put the file in its place, durably, instead of one that is there.

        Raises:
            ValueError: The writer is closed.
            UnsupportedError: The driver cannot replace what is there.
            OSError: It could not be stored (ENOSPC, EIO); what was there is there still.
        """

    def close(self) -> None:
        """Give up what was not committed; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> object: ...


class BlobWriter(Protocol):
    """A blob on its way in, hashed as it comes; its name is known when it is committed.

    Leaving the context closes it; closed without `commit`, it leaves no trace.
    """

    @property
    def digest(self) -> Digest:
        """The digest of what was committed.

        Raises:
            ValueError: Nothing is committed yet.
        """

    def write(self, data: Data, /) -> int:
        """Append all of `data`; its length in bytes."""

    def commit(self, size: int | None = None, expected: Digest | None = None) -> Digest:
        """Name the blob by its digest, durably; success also if it was stored before.

        Args:
            size: Length required, in bytes, which may be 0; None where it is unknown.
            expected: Digest required, of the writer's algorithm; None where it is unknown.

        Raises:
            SizeMismatchError: The length differs; nothing is kept.
            DigestMismatchError: The digest differs; nothing is kept.
            ValueError: The writer is closed, or `expected` is of another algorithm.
            OSError: It could not be stored; nothing is kept.
        """

    def close(self) -> None:
        """Give up what was not committed; idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> object: ...


class ImageDriver(Protocol):
    """One image layout, in whatever form. Its `str` is what messages call it."""

    def init(self) -> None:
        """Make what the form needs before its first file.

        Raises:
            AlreadyExistsError: Something is there; it is left as it is.
            UnsupportedError: The driver only reads.
        """

    def remove(self, path: str) -> None:
        """Remove a file.

        Raises:
            NotFoundError: There is none.
            UnsupportedError: The driver only reads, or only appends.
        """

    def reader(self, path: str) -> Reader:
        """Open a file; what is removed or replaced later is read to its end.

        Raises:
            NotFoundError: There is none.
            UnsupportedError: The driver only writes.
        """

    def writer(self, path: str, mode: int) -> Writer:
        """Begin a file with these permissions (such as 0o644), whatever the umask.

        Raises:
            UnsupportedError: The driver only reads.
        """

    def blob_writer(self, algorithm: str) -> BlobWriter:
        """Begin a blob, to be named by its digest of this algorithm.

        Raises:
            UnsupportedError: The driver only reads, or the algorithm cannot be computed.
        """


@runtime_checkable
class Lockable(Protocol):
    """A driver that can keep others from changing `index.json`."""

    def lock(self) -> AbstractContextManager[object]:
        """Held by one at a time, among all threads and processes; not taken twice by one."""


@runtime_checkable
class Shareable(Protocol):
    """A driver that can keep a collector away from blobs that nothing names yet."""

    def sharing(self) -> AbstractContextManager[object]:
        """Held by any number of writers, from their first blob to the index that names it."""

    def collecting(self, timeout: float | None = None) -> AbstractContextManager[object]:
        """Held by one collector, when no writer is sharing; taken before `lock`.

        Args:
            timeout: Seconds to wait for them; as long as it takes where None.

        Raises:
            InUseError: There is still a writer, or another collector.
        """


@runtime_checkable
class Enumerable(Protocol):
    """A driver that knows its files."""

    def paths(self, prefix: str = "") -> Iterator[str]:
        """The path of every file that begins with `prefix`, in bytewise order, without stages.

        What is neither a file nor a directory is among them, so that it can be found and judged.
        """


@runtime_checkable
class Cleanable(Protocol):
    """A driver whose writers may leave something behind when they are killed."""

    def unfinished(self) -> Iterable[str]:
        """The path of everything that a writer has begun, whether or not it is alive."""

    def discard(self, path: str, *, dry_run: bool = False) -> bool:
        """Remove one of them, unless its writer is alive; whether it was, or would be, removed."""


@runtime_checkable
class Structured(Protocol):
    """A driver whose form has directories, which may be there without a file."""

    def has_directory(self, path: str) -> bool:
        """Whether there is such a directory."""


@runtime_checkable
class Dated(Protocol):
    """A driver that others write to without taking its locks, and that knows when they did."""

    def modified_ns(self, path: str) -> int:
        """When a file was last written, in nanoseconds since 1970.

        Raises:
            NotFoundError: There is none.
        """


class TarWriter(Protocol):
    """What takes the members of a tar, such as a `tarfile.TarFile` that is open for writing."""

    def addfile(self, tarinfo: tarfile.TarInfo, fileobj: IO[bytes] | None = None) -> None:
        """Append a member with `tarinfo.size` bytes, read from the file."""
