"""One image into a directory of plain files, as skopeo's `dir:` keeps it.

The form is told in `orlop.layout.read.dir`.

PARENT/
  NAME/                the image; it appears whole, or changes places with the one that was there
  .NAME.orlop-new/     what it will be, flock by its one writer; the next writer takes over what
                       a killed one left
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, final

from orlop._sys.handle import Fd
from orlop._sys.rename import exchange
from orlop._sys.sync import sync_directory
from orlop.errors import AlreadyExistsError, NotFoundError, UnsupportedError
from orlop.layout.driver.below import is_same_file
from orlop.layout.read.dir import is_dir_place, name_in_dir
from orlop.layout.write.output import GrowingFile
from orlop.layout.write.pieces import copy_verified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.layout.write.named import NamedImage
    from orlop.layout.write.pieces import Stream
    from orlop.spec.descriptor import Descriptor

VERSION: Final = b"Directory Transport Version: 1.1\n"

# What skopeo and this module write; all else is somebody's own.
_PART: Final = re.compile(
    r"version|(?:.+\.)?manifest\.json|(?:.+\.)?signature-[0-9]+|(?:[a-z0-9]+-)?[a-f0-9]{32,}",
    re.ASCII,
)
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


@final
class DirTarget:
    """A directory of one image, made or replaced; see `ImageTarget`.

    Args:
        path: The directory.
    """

    ordered = False

    def __init__(self, path: Path) -> None:
        self._path = os.path.realpath(path)
        parent, name = os.path.split(self._path)
        self._new = os.path.join(parent, f".{name}.orlop-new")
        self._target: Descriptor | None = None
        self._stack = ExitStack()

    def begin(self, images: Sequence[NamedImage]) -> None:
        """Make the directory beside, where everything is written at first.

        Raises:
            UnsupportedError: There are several images.
            AlreadyExistsError: There is something else than such a directory.
            NotFoundError: The directory above is missing.
            OSError: It cannot be made (EACCES).
        """
        if len(images) != 1:
            raise UnsupportedError(
                f"dir:{self._path} holds one image, not {len(images)}",
                hint="copy to oci:, oci-archive: or docker-archive:",
            )
        self._target = images[0].target
        self._check_place()
        self._occupy()

    def has(self, descriptor: Descriptor) -> bool:  # noqa: ARG002
        """Never: everything is written anew."""
        return False

    def put_document(self, descriptor: Descriptor, raw: bytes) -> None:
        """Store a document; the image's own under the name that all look for."""
        assert self._target is not None, "it has begun"
        is_top = descriptor.digest == self._target.digest
        self._write("manifest.json" if is_top else name_in_dir(descriptor), raw)

    def put_blob(self, descriptor: Descriptor, stream: Stream) -> None:
        """Store a blob, verified; see `ImageTarget.put_blob`."""
        with self._create(name_in_dir(descriptor)) as fd:
            copy_verified(descriptor, stream, GrowingFile(fd, self._path).write)
            os.fsync(fd.fileno())

    def finish(self) -> list[str]:
        """Put the directory in its place."""
        self._write("version", VERSION)
        sync_directory(self._new)
        self._check_place()
        if os.path.exists(self._path):
            self._replace()
        else:
            os.rename(self._new, self._path)
        sync_directory(os.path.dirname(self._path))
        return []

    def close(self) -> None:
        """Remove what was not put in its place; idempotent."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_place(self) -> None:
        """Succeed if there is nothing, an empty directory, or one that such an image lies in."""
        try:
            names = os.listdir(self._path)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise AlreadyExistsError(f"{self._path} exists and is no directory") from None
        if names and not is_dir_place(Path(self._path)):
            raise AlreadyExistsError(
                f"{self._path} exists, and holds something else than one image of dir:",
                hint="choose another directory",
            )
        others = [name for name in names if _PART.fullmatch(name) is None]
        if others:
            raise AlreadyExistsError(
                f"{self._path} also holds {min(others)!r}, which is no part of an image",
                hint="take it out, or choose another directory",
            )

    def _occupy(self) -> None:
        """Be the one writer of an empty directory beside."""
        held = _occupied(self._new)
        self._stack.enter_context(held)
        self._stack.callback(self._clear, held)
        for entry in os.scandir(self._new):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    def _clear(self, held: Fd) -> None:
        if is_same_file(held.fileno(), self._new):
            shutil.rmtree(self._new)

    def _replace(self) -> None:
        """Change places with the directory that is there, and remove that one."""
        with Fd(os.open(self._path, _DIRECTORY)) as old:
            # A writer that comes now takes it for what a killed one left, and waits.
            fcntl.flock(old.fileno(), fcntl.LOCK_EX)
            if not exchange(self._new, self._path):
                shutil.rmtree(self._path)
                os.rename(self._new, self._path)
                return
            shutil.rmtree(self._new)

    def _write(self, name: str, data: bytes) -> None:
        with self._create(name) as fd:
            GrowingFile(fd, self._path).write(data)
            os.fsync(fd.fileno())

    def _create(self, name: str) -> Fd:
        return Fd(os.open(os.path.join(self._new, name), _FLAGS, 0o644))


def _occupied(path: str) -> Fd:
    """A locked handle of a directory, made where it is missing, that nobody else writes to."""
    while True:
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            pass
        except FileNotFoundError:
            raise NotFoundError(f"no such directory: {os.path.dirname(path)}") from None
        try:
            held = Fd(os.open(path, _DIRECTORY))
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(held.fileno(), fcntl.LOCK_EX)
            if is_same_file(held.fileno(), path):
                return held
        except BaseException:
            held.close()
            raise
        held.close()
