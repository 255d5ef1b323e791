"""Every error that orlop raises on purpose.

    OrlopError                      message, hint
    ├── InvalidError                where: JSON path, entry or offset
    │   ├── InvalidDigestError
    │   ├── InvalidReferenceError
    │   ├── InvalidPlatformError
    │   ├── InvalidDocumentError    a manifest, index, config, layout or credentials file
    │   ├── InvalidLayerError       a tar, its compression or its changeset
    │   ├── InvalidImageError       a filesystem image
    │   ├── InvalidArchiveError     an archive that holds images
    │   └── InvalidFilterError      a text that chooses records
    ├── VerificationError           expected, actual
    │   ├── DigestMismatchError
    │   └── SizeMismatchError
    ├── NotFoundError
    ├── AlreadyExistsError
    ├── ConflictError               somebody else was faster
    ├── AmbiguousError              a prefix or name that means several things; candidates
    ├── InUseError               users: who needs it
    ├── LimitExceededError          limit (its name), value (what it is)
    ├── UnsafePathError             where
    ├── UnsupportedError
    │   ├── NeedsParentsError       a layer cannot stand alone in overlay's form
    │   ├── IdMapRefusedError       owners cannot be shown as others; files can be copied instead
    │   └── RuntimeNotFoundError    there is no OCI runtime to run containers with
    ├── ToolError                   a program from outside failed; status, said
    │   └── RuntimeFailedError      an OCI runtime could not run a container; exit_code
    ├── RunTimeoutError             a container ran for too long; timeout
    ├── DiskError                   what `orlop.disks.Builder` and its `Store` raise
    │   ├── ParseReferenceError     what is to be built is no reference
    │   ├── PullImageError          the image could not be fetched
    │   ├── ImageDigestError        it is not known which image that is
    │   ├── CreateDirError          the store could not be made or opened
    │   ├── CreateTempError         there is no room for what is under way
    │   ├── ExtractError            a layer is broken, hostile or too large
    │   ├── CreateExt4Error         the disk could not be written, whatever its filesystem
    │   ├── ToolNotFoundError       a program or library that writes it is missing
    │   ├── TarballError            a tarball is none that holds an image
    │   ├── StoreSaveError          a record of disks could not be kept
    │   ├── StoreReadError          the records of disks could not be read
    │   ├── MetadataError           a record of disks is broken
    │   ├── ImageNotFoundError      there are no disks under this tag
    │   └── LayerFSError            a disk has a filesystem that is not known
    └── RegistryError               status, codes, retryable
        ├── TransportError          no whole answer came
        └── AuthError               the registry wants other credentials

`OSError` passes through unchanged, with its path. A caller's mistake is a `TypeError` or a
`ValueError`. Errors of libraries are translated once, where the library is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence


_SHOWN = 5
"""How many of those who need something a message names; the error has all of them."""


class OrlopError(Exception):
    """Base of all errors that orlop raises on purpose.

    Args:
        message: What went wrong, with which object, and why; one line.
        hint: What to do next, where that is known; one line.
    """

    hint: str | None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def inside(self, what: str, *, hint: str | None = None) -> Self:
        """This error, its message led by what it was found in, which its raiser did not know."""
        self.args = (f"{what}: {self}",)
        self.hint = self.hint or hint
        return self


class InvalidError(OrlopError, ValueError):
    """Something read is not what its specification demands.

    Args:
        message: What is wrong.
        where: Where it is wrong: a JSON path (`$.layers[3].size`), an entry's name or an offset.
        hint: What to do next.
    """

    where: str | None

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where


class InvalidDigestError(InvalidError):
    """A text is no digest."""


class InvalidReferenceError(InvalidError):
    """A text is no image reference."""


class InvalidPlatformError(InvalidError):
    """A text is no platform."""


class InvalidDocumentError(InvalidError):
    """A JSON document has the wrong shape; `where` is the JSON path."""


class InvalidLayerError(InvalidError):
    """A layer's compression, tar or changeset is broken; `where` is the entry or the offset."""


class InvalidImageError(InvalidError):
    """A filesystem image is broken; `where` is the inode or the offset."""


class InvalidArchiveError(InvalidError):
    """An archive that holds images is broken; `where` is the archive and its member."""


class InvalidFilterError(InvalidError):
    """A text is no filter; `where` is the column."""


class VerificationError(OrlopError):
    """Content is not what its digest, size or diffID says.

    Args:
        message: What was verified.
        expected: What was promised.
        actual: What was found.
        hint: What to do next.
    """

    expected: object
    actual: object

    def __init__(
        self, message: str, *, expected: object, actual: object, hint: str | None = None
    ) -> None:
        super().__init__(f"{message}: expected {expected}, found {actual}", hint=hint)
        self.expected = expected
        self.actual = actual


class DigestMismatchError(VerificationError):
    """Content has another digest than the one promised."""


class SizeMismatchError(VerificationError):
    """Content has another length than the one promised."""


class NotFoundError(OrlopError, LookupError):
    """Something named does not exist."""


class AlreadyExistsError(OrlopError):
    """Something that was to be made exists already."""


class ConflictError(OrlopError):
    """A record is no longer what the one who changes it had read; nothing was changed."""


class AmbiguousError(OrlopError, LookupError):
    """A name or prefix means several things.

    Args:
        message: What was looked up.
        candidates: What it may mean.
        hint: What to do next.
    """

    candidates: tuple[str, ...]

    def __init__(
        self, message: str, *, candidates: Sequence[str] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.candidates = tuple(candidates)


class InUseError(OrlopError):
    """Something cannot be changed or removed while others need it.

    Args:
        message: What is in use.
        users: Who needs it, where that is known, such as `container 3f2a…`.
        hint: What to do next.
    """

    users: tuple[str, ...]

    def __init__(self, message: str, *, users: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.users = tuple(users)


class LimitExceededError(OrlopError):
    """A length, count, depth or ratio is over its named limit.

    Args:
        message: What is too large.
        limit: The limit's name, as in the documentation.
        value: The limit's value.
        hint: What to do next.
    """

    limit: str
    value: int

    def __init__(self, message: str, *, limit: str, value: int, hint: str | None = None) -> None:
        super().__init__(f"{message} (limit {limit} = {value})", hint=hint)
        self.limit = limit
        self.value = value


def some_of(users: Sequence[str]) -> str:
    """The first of those who need something, and how many more there are; for a message."""
    shown = ", ".join(users[:_SHOWN])
    return shown if len(users) <= _SHOWN else f"{shown} and {len(users) - _SHOWN} more"


class UnsafePathError(OrlopError):
    """A path would leave the place that it must stay in."""

    where: str | None

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where


class UnsupportedError(OrlopError):
    """Something is valid and known, and cannot be done here."""


class ToolError(OrlopError):
    """A program from outside did not do what it was started for.

    Args:
        message: Which one, and for what.
        status: Its exit status; negative for the signal that ended it.
        said: The end of what it wrote to its standard error.
        hint: What to do next.
    """

    status: int
    said: str

    def __init__(self, message: str, *, status: int, said: str, hint: str | None = None) -> None:
        how = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
        super().__init__(f"{message} ({how})" + (f": {said}" if said else ""), hint=hint)
        self.status = status
        self.said = said


class NeedsParentsError(UnsupportedError):
    """A layer cannot be expressed in overlay's form without the layers below it."""


class IdMapRefusedError(UnsupportedError):
    """The kernel or a filesystem cannot show files with other owners than they have."""


class RuntimeNotFoundError(UnsupportedError):
    """There is no OCI runtime to run containers with, or not the one that is wanted."""


class RuntimeFailedError(ToolError):
    """An OCI runtime could not run a container; its command was not started.

    Args:
        message: What was to be run.
        status: The runtime's exit status; negative for the signal that ended it.
        said: The last error of its log.
        exit_code: What a command line ends with: 127 where the container has no such command, 126
            where it cannot be executed, else 125.
        hint: What to do next.
    """

    exit_code: int

    def __init__(
        self, message: str, *, status: int, said: str, exit_code: int = 125, hint: str | None = None
    ) -> None:
        super().__init__(message, status=status, said=said, hint=hint)
        self.exit_code = exit_code


class RunTimeoutError(OrlopError, TimeoutError):
    """A container ran for longer than it may; it was ended, with all that ran in it.

    Args:
        message: Which one.
        timeout: How long it may run, in seconds.
        hint: What to do next.
    """

    timeout: float

    def __init__(self, message: str, *, timeout: float, hint: str | None = None) -> None:
        super().__init__(f"{message}: not done in {timeout:g} s", hint=hint)
        self.timeout = timeout


class DiskError(OrlopError):
    """An image could not be made into disks, or those could not be kept or found."""


class ParseReferenceError(DiskError):
    """What is to be built is no reference of an image."""


class PullImageError(DiskError):
    """An image could not be fetched."""


class ImageDigestError(DiskError):
    """Which image a reference means cannot be found out: a manifest is missing or broken."""


class CreateDirError(DiskError):
    """The store of disks could not be made or opened."""


class CreateTempError(DiskError):
    """There is no room for what is under way."""


class ExtractError(DiskError):
    """A layer of an image is broken, hostile or too large."""


class CreateExt4Error(DiskError):
    """A disk could not be written, whatever its filesystem."""


class ToolNotFoundError(DiskError, UnsupportedError):
    """A program or library that writes a filesystem is missing."""


class TarballError(DiskError):
    """A tarball is none that holds one image."""


class StoreSaveError(DiskError):
    """A record of disks could not be kept."""


class StoreReadError(DiskError):
    """The records of disks could not be read."""


class MetadataError(DiskError):
    """A record of disks is broken."""


class ImageNotFoundError(DiskError, NotFoundError):
    """There are no disks under a tag."""


class LayerFSError(DiskError, ValueError):
    """A disk has a filesystem that is not known."""


class RegistryError(OrlopError):
    """A registry answered with an error.

    Args:
        message: What was asked and what came back.
        status: The HTTP status, 0 where none came.
        codes: The error codes in the body, as the distribution-spec names them.
        retryable: Whether the same request may succeed later.
        hint: What to do next.
    """

    status: int
    codes: tuple[str, ...]
    retryable: bool

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        codes: Sequence[str] = (),
        retryable: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.codes = tuple(codes)
        self.retryable = retryable


class TransportError(RegistryError):
    """No whole answer came: the connection failed, broke or took too long."""


class AuthError(RegistryError):
    """A registry or its token server refused the credentials, or wants some."""
