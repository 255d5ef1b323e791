"""Directories whose entries are named by digests, and the trash that takes what leaves them.

blobs/<algorithm>/<encoded>     also forms/ and chains/, where an entry is a directory
trash/<random>                  renamed here in one step, freed outside every lock
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from orlop._sys.sync import sync_directory
from orlop.digest import Digest, plain_digest
from orlop.errors import InvalidDigestError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRIVATE: Final = 0o700


def ensure_directory(path: str) -> None:
    """Make a private directory durable, with its parents, unless it exists.

    Raises:
        OSError: It cannot be made.
    """
    try:
        os.mkdir(path, _PRIVATE)
    except FileExistsError:
        return
    except FileNotFoundError:
        ensure_directory(os.path.dirname(path) or os.curdir)
        with suppress(FileExistsError):
            os.mkdir(path, _PRIVATE)  # fails in /proc and below a link to nowhere
    sync_directory(os.path.dirname(path) or ".")


@final
class Trash:
    """A directory for what is to be freed; any number of processes fill and empty it.

    Args:
        path: Where it is, on the filesystem of what it takes; made when needed.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def put(self, path: str) -> str | None:
        """Take a file or a directory in one step.

        Returns:
            Where it is now, for `remove`; None where there was nothing to take.

        Raises:
            OSError: It cannot be moved.
        """
        place = os.path.join(self._path, os.urandom(16).hex())
        try:
            os.rename(path, place)
        except FileNotFoundError:
            if not os.path.lexists(path):
                return None
            ensure_directory(self._path)
            return self.put(path)
        return place

    def remove(self, place: str) -> None:
        """Free what `put` took; nothing happens when somebody else did.

        Directories below it are brought to the top of the trash one by one, so that neither the
        depth of a tree nor the length of its paths matters.

        Raises:
            OSError: It cannot be removed.
        """
        pending = [place]
        while pending:
            entry = pending.pop()
            try:
                os.unlink(entry)
            except IsADirectoryError:
                pending += self._dissolve(entry)
            except FileNotFoundError:
                pass

    def empty(self) -> int:
        """Free all that is in the trash; how many entries."""
        try:
            names = os.listdir(self._path)
        except FileNotFoundError:
            return 0
        for name in names:
            self.remove(os.path.join(self._path, name))
        return len(names)

    def _dissolve(self, directory: str) -> list[str]:
        moved = []
        with suppress(FileNotFoundError):
            os.chmod(directory, _PRIVATE)
            for name in os.listdir(directory):
                child = os.path.join(directory, name)
                try:
                    os.unlink(child)
                except IsADirectoryError:
                    os.chmod(child, _PRIVATE)
                    moved.append(self.put(child))
                except FileNotFoundError:
                    pass
            os.rmdir(directory)
        return [place for place in moved if place is not None]


@final
class DigestDirectory:
    """A directory of entries named by digests.

    Args:
        path: Where it is; made when needed.
        trash: What takes the entries that are deleted.
    """

    def __init__(self, path: str, trash: Trash) -> None:
        self._path = path
        self._trash = trash

    def path_of(self, digest: Digest) -> str:
        """Where the entry is, or would be.

        Raises:
            UnsupportedError: The digest cannot be computed, so that nothing is kept under it.
        """
        if not digest.computable:
            raise UnsupportedError(
                f"content {digest} cannot be kept: its algorithm cannot be computed here"
            )
        return os.path.join(self._path, digest.algorithm, digest.encoded)

    def adopt(self, path: str, digest: Digest) -> None:
        """Move a durable file or directory here, in place of an entry of that name; durable.

        Raises:
            OSError: It cannot be moved, or its name not be made durable.
        """
        place = self.path_of(digest)
        try:
            os.rename(path, place)
        except FileNotFoundError:
            if not os.path.lexists(path):
                raise
            ensure_directory(os.path.dirname(place))
            os.rename(path, place)
        sync_directory(os.path.dirname(place))

    def delete(self, digest: Digest) -> bool:
        """Move an entry to the trash in one step; whether it was there."""
        return self._trash.put(self.path_of(digest)) is not None

    def iter_digests(self) -> Iterator[Digest]:
        """The digest of every entry in order; names that are none are passed over."""
        for algorithm in _names(self._path):
            for encoded in _names(os.path.join(self._path, algorithm)):
                text = f"{algorithm}:{encoded}"
                digest = plain_digest(text) or _computable(text)
                if digest is not None:
                    yield digest


def _computable(text: str) -> Digest | None:
    try:
        digest = Digest(text)
    except InvalidDigestError:
        return None
    return digest if digest.computable else None


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
