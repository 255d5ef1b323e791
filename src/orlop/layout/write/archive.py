"""Images into a new archive, which is written from its beginning to its end.

    blobs/                       0755
      <algorithm>/<hex>          0444, in bytewise order
    index.json                   0644
    manifest.json                0644; what Docker, podman and skopeo read in a docker-archive
    oci-layout                   0444

All that is not content is known before the first byte, and every size is in a descriptor: so the
archive can go down a pipe, takes no memory for layers, and its bytes depend on the images alone.

Spec: image-spec v1.1, image-layout.md.
"""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING, Final, Self, final

from orlop.errors import AlreadyExistsError, SizeMismatchError
from orlop.layout.driver.path import INDEX_FILE, LAYOUT_FILE, blob_path
from orlop.layout.driver.spool import directory_member, file_member, parents_of
from orlop.layout.driver.stage import BLOB_MODE
from orlop.layout.image import INDEX_MODE, LAYOUT_MODE
from orlop.layout.index import encode_index
from orlop.layout.read.saved import MANIFEST_FILE
from orlop.layout.write.docker import docker_named, encode_saved
from orlop.layout.write.named import with_images
from orlop.layout.write.output import FileOutput, StreamOutput
from orlop.layout.write.pieces import copy_verified
from orlop.spec.index import Index
from orlop.spec.layout import ImageLayout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from orlop.digest import Digest
    from orlop.layout.write.named import NamedImage
    from orlop.layout.write.output import Output
    from orlop.layout.write.pieces import Stream
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor

_BLOCK: Final = 512
_RECORD: Final = 20 * _BLOCK


@final
class ArchiveTarget:
    """A new archive; see `ImageTarget`.

    Args:
        output: The path of a file, or what takes the bytes.
        mtime: The time of all members, in seconds since 1970.
        docker: The platform whose images Docker loads out of several, for a docker-archive; None
            for an archive that is an OCI layout alone.
        replace: Whether a file of this name may be replaced.
    """

    ordered = True

    def __init__(
        self,
        output: str | BinaryIO,
        *,
        mtime: int = 0,
        docker: Platform | None = None,
        replace: bool = False,
    ) -> None:
        self._where = output
        self._mtime = mtime
        self._docker = docker
        self._replace = replace
        self._output: Output | None = None
        self._images: Sequence[NamedImage] = ()
        self._documents: dict[Digest, bytes] = {}
        self._small: dict[str, tuple[bytes, int]] = {}
        self._notes: list[str] = []
        self._sizes: dict[str, int] = {}
        self._directories: set[str] = set()
        self._size = 0

    def begin(self, images: Sequence[NamedImage]) -> None:
        """Get ready to write.

        Raises:
            AlreadyExistsError: There is a file that may not be replaced.
            NotFoundError: There is no directory for it.
            OSError: It cannot be made (EACCES).
        """
        self._images = images if self._docker is None else docker_named(images)
        self._output = self._open()

    def has(self, descriptor: Descriptor) -> bool:
        """Never: nothing is there, and nothing comes twice.

        Raises:
            SizeMismatchError: It came with another size.
        """
        size = self._sizes.get(blob_path(descriptor.digest))
        if size is not None and size != descriptor.size:
            raise SizeMismatchError(
                f"size of {descriptor.digest}", expected=descriptor.size, actual=size
            )
        return size is not None

    def put_document(self, descriptor: Descriptor, raw: bytes) -> None:
        """Remember a document until it is its turn."""
        self._documents[descriptor.digest] = raw
        self._small[blob_path(descriptor.digest)] = (raw, BLOB_MODE)

    def put_blob(self, descriptor: Descriptor, stream: Stream) -> None:
        """Write a blob, verified as it passes, after what comes before it.

        Raises:
            UnsupportedError: A docker-archive cannot hold such images; nothing was written.
            VerificationError: It is not what the descriptor says; the archive has no end.
        """
        self._describe()
        path = blob_path(descriptor.digest)
        self._write_until(path)
        self._write_header(path, BLOB_MODE, descriptor.size)
        copy_verified(descriptor, stream, self._write)
        self._pad(_BLOCK)

    def finish(self) -> list[str]:
        """Write what is left, and the end; a file is put in its place."""
        self._describe()
        self._write_until(None)
        self._write(bytes(2 * _BLOCK))
        self._pad(_RECORD)
        self._opened.commit()
        return self._notes

    def close(self) -> None:
        """Give up an archive without an end; idempotent."""
        if self._output is not None:
            self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _opened(self) -> Output:
        assert self._output is not None, "it has begun"
        return self._output

    def _open(self) -> Output:
        if not isinstance(self._where, str):
            return StreamOutput(self._where)
        if os.path.exists(self._where) and not os.path.isfile(self._where):
            if os.path.isdir(self._where):
                raise AlreadyExistsError(f"{self._where} is a directory")
            return StreamOutput(open(self._where, "wb", buffering=0), self._where)
        output = FileOutput(os.path.realpath(self._where))
        if not self._replace and os.path.exists(self._where):
            output.close()
            raise AlreadyExistsError(
                f"{self._where} exists, and nothing is added to such an archive",
                hint="choose another name, or remove it first",
            )
        return output

    def _describe(self) -> None:
        """Make the documents of the archive itself, once."""
        if LAYOUT_FILE in self._small or LAYOUT_FILE in self._sizes:
            return
        if self._docker is not None:
            saved = encode_saved(self._images, self._documents, self._docker)
            self._small[MANIFEST_FILE] = (saved, INDEX_MODE)
        index, self._notes = with_images(Index(manifests=()), self._images)
        self._small[INDEX_FILE] = (encode_index(index), INDEX_MODE)
        self._small[LAYOUT_FILE] = (ImageLayout().encode(), LAYOUT_MODE)

    def _write_until(self, path: str | None) -> None:
        """Write the documents that come before a path; all where None."""
        for name in sorted(self._small):
            if path is not None and name >= path:
                break
            data, mode = self._small.pop(name)
            self._write_header(name, mode, len(data))
            self._write(data)
            self._pad(_BLOCK)

    def _write_header(self, path: str, mode: int, size: int) -> None:
        for parent in parents_of(path):
            if parent not in self._directories:
                self._directories.add(parent)
                self._write(directory_member(parent, self._mtime).tobuf(tarfile.PAX_FORMAT))
        self._sizes[path] = size
        self._write(file_member(path, mode, size, self._mtime).tobuf(tarfile.PAX_FORMAT))

    def _pad(self, unit: int) -> None:
        self._write(bytes(-self._size % unit))

    def _write(self, data: bytes) -> None:
        self._opened.write(data)
        self._size += len(data)
