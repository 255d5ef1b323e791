"""A plain cache of images below a directory, without a database.

    ROOT/
      d/sha256/<hex>     `algorithm:hex`: what a reference stood for when it was last looked up;
                         named by the SHA-256 of the reference
      i/<algorithm>/<hex>  named by the digest of an image's manifest, the image's config; named by
                         a diffID, the layer as an uncompressed tar
      i/<algorithm>/.<hex>-<random>  one of both on its way in; nobody's when its writer is gone

Files are written beside their place and renamed, so that any number of processes may write the
same ones. A layer is held against its diffID while it is written, and again when it is read: what
one image says of a layer is never believed for another. The config of an image comes last, so that
an image that is found has had all its layers. Its name is the digest of a manifest that is not
kept, so a config cannot be verified once it lies here: whoever can write to the directory can
change how images are run, and what layers they have, though not what is in those.

Spec: image-spec v1.0, image-layout.md, whose blobs lie alike.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from orlop.bundle.names import DIR_DIGESTS, DIR_IMAGES, MAX_LAYERS
from orlop.bundle.protocols import check_layer_count
from orlop.compression import DecompressionLimits
from orlop.content import ensure_directory
from orlop.digest import Digest
from orlop.errors import InvalidDigestError, NotFoundError, UnsupportedError
from orlop.spec.config import ImageConfig
from orlop.spec.json import MAX_DOCUMENT_SIZE
from orlop.storage.unpack import LayerUnpacker
from orlop.tar import TarLimits
from orlop.tree import EncodedChangeset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.bundle.protocols import BundleImage, LayerStream

_CHUNK: Final = 1 << 20
_MAX_DIGEST_SIZE: Final = 256
_FILE_MODE: Final = 0o600


class Digests(Protocol):
    """What references stood for when they were last looked up."""

    def hash(self, reference: str, /) -> Digest:
        """The digest of the image that a reference stood for.

        Raises:
            NotFoundError: It is not known.
        """

    def write_hash(self, reference: str, digest: Digest, /) -> None:
        """Remember what a reference stands for."""


class CachedLayer(Protocol):
    """A layer that is there, uncompressed."""

    @property
    def diff_id(self) -> Digest:
        """The digest of its tar."""

    def open(self) -> BinaryIO:
        """Its tar."""


class Images(Protocol):
    """Images with all their layers, by the digest of their manifest."""

    def write_image(self, image: BundleImage, /) -> None:
        """Keep an image; success means that all of it is there."""

    def image(self, digest: Digest, /) -> BundleImage:
        """An image.

        Raises:
            NotFoundError: It is not there, or not all of it.
        """

    def layer(self, diff_id: Digest, /) -> CachedLayer:
        """A layer of any image.

        Raises:
            NotFoundError: It is not there.
        """


class DigestStore:
    """Which digest a reference stood for, below a directory.

    Args:
        root: The cache; what is missing is made when something is written.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._folder = Path(root) / DIR_DIGESTS / "sha256"

    def hash(self, reference: str) -> Digest:
        """The digest of the image that a reference stood for.

        Raises:
            NotFoundError: It is not known.
            InvalidDigestError: What is kept is no digest.
            OSError: It cannot be read.
        """
        path = self._path(reference)
        try:
            with open(path, "rb") as file:
                text = file.read(_MAX_DIGEST_SIZE + 1)
        except FileNotFoundError:
            raise NotFoundError(f"it is not known which image {reference} is") from None
        try:
            return Digest(text.decode("ascii").strip())
        except (InvalidDigestError, UnicodeDecodeError) as error:
            raise InvalidDigestError(
                f"no digest is kept for {reference}", where=str(path), hint="pull the image again"
            ) from error

    def write_hash(self, reference: str, digest: Digest) -> None:
        """Remember what a reference stands for; success means that it is there whole.

        Raises:
            OSError: It could not be written; what was known is known still.
        """
        path = self._path(reference)
        with _replaced(path) as file:
            file.write(digest.encode("ascii"))

    def _path(self, reference: str) -> Path:
        return self._folder / Digest.of(reference.encode()).encoded


class FileLayer:
    """A layer of a cache.

    Args:
        diff_id: The digest of its tar.
        path: The tar.
    """

    def __init__(self, diff_id: Digest, path: Path) -> None:
        self.diff_id = diff_id
        self.path = path

    def open(self) -> BinaryIO:
        """Its tar, to be closed by whoever reads it; not verified."""
        return open(self.path, "rb")


class CachedImage:
    """An image of a cache.

    Args:
        cache: Where it is.
        digest: The digest of its manifest.
        raw_config: Its config.
    """

    def __init__(self, cache: ImageCache, digest: Digest, raw_config: bytes) -> None:
        self._cache = cache
        self.digest = digest
        self.raw_config = raw_config

    @cached_property
    def config(self) -> ImageConfig:
        """How to run it, and which layers it has."""
        return ImageConfig.decode(self.raw_config)

    def layers(self) -> list[FileLayer]:
        """Its layers, the base first.

        Raises:
            NotFoundError: One is not there.
        """
        return [self._cache.layer(diff_id) for diff_id in self.config.diff_ids]

    def open_layer(self, number: int) -> BinaryIO:
        """The tar of a layer, the base 0."""
        return self._cache.layer(self.config.diff_ids[number]).open()


class ImageCache:
    """Images and their layers below a directory.

    Args:
        root: The cache; what is missing is made when something is written.
        max_layers: Layers that an image may have.
        decompression: What a layer may grow to.
        tar: What a layer may hold.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        max_layers: int = MAX_LAYERS,
        decompression: DecompressionLimits | None = None,
        tar: TarLimits | None = None,
    ) -> None:
        self.root = Path(root)
        self.max_layers = max_layers
        self._decompression = decompression or DecompressionLimits()
        self._tar = tar or TarLimits()

    def write_image(self, image: BundleImage) -> None:
        """Keep an image; success means that all of it is there, every layer verified.

        Nothing is written of one that is there, and no layer that is there is fetched.

        Raises:
            LimitExceededError: It has too many layers; nothing is written. Or a layer is too large.
            VerificationError: A layer is not what the config says; it is not kept.
            InvalidLayerError: A layer is broken; it is not kept.
            OSError: Something could not be written.
        """
        config = image.config
        check_layer_count(len(config.diff_ids), self.max_layers)
        try:
            self.image(image.digest)
        except NotFoundError:
            pass
        else:
            return
        for number, diff_id in enumerate(config.diff_ids):
            if not self._path(diff_id).exists():
                with image.open_layer(number) as stream:
                    self.write_layer(diff_id, stream)
        with _replaced(self._path(image.digest)) as file:
            file.write(config.raw)

    def write_layer(self, diff_id: Digest, stream: LayerStream) -> None:
        """Keep a layer; success means that its tar is there, and hashes to the diffID.

        Args:
            diff_id: What it has to hash to.
            stream: Its bytes, compressed or not; read to the end, not closed.

        Raises:
            OrlopError: As `write_image`.
            OSError: It could not be written.
        """
        with _replaced(self._path(diff_id)) as file:
            sink = _FileSink(file)
            with LayerUnpacker(
                diff_id, sink, decompression=self._decompression, tar=self._tar
            ) as unpacker:
                while chunk := stream.read(_CHUNK):
                    unpacker.feed(chunk)
                unpacker.finish()

    def image(self, digest: Digest) -> CachedImage:
        """An image.

        Raises:
            NotFoundError: It is not there, or one of its layers is not.
            InvalidDocumentError: Its config is damaged.
            LimitExceededError: Its config is too long, or has too many layers.
        """
        try:
            with open(self._path(digest), "rb") as file:
                raw = file.read(MAX_DOCUMENT_SIZE + 1)
        except FileNotFoundError:
            raise NotFoundError(f"image {digest} is not in the cache") from None
        found = CachedImage(self, digest, raw)
        check_layer_count(len(found.config.diff_ids), self.max_layers)
        found.layers()
        return found

    def layer(self, diff_id: Digest) -> FileLayer:
        """A layer of any image.

        Raises:
            NotFoundError: It is not there.
        """
        path = self._path(diff_id)
        if not path.is_file():
            raise NotFoundError(f"layer {diff_id} is not in the cache")
        return FileLayer(diff_id, path)

    def _path(self, digest: Digest) -> Path:
        if not digest.computable:
            raise UnsupportedError(f"{digest.algorithm} is not supported for {digest}")
        return self.root / DIR_IMAGES / digest.algorithm / digest.encoded


class _FileSink:
    """Takes a layer's bytes one after another; see `orlop.storage.unpack.LayerSink`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, piece: bytes, offset: int, entries: object) -> None:  # noqa: ARG002
        self._file.write(piece)

    def finish(self, entries: object) -> None:
        pass


class _NoSink:
    """Takes a layer's bytes, and keeps none."""

    def write(self, piece: bytes, offset: int, entries: object) -> None:
        pass

    def finish(self, entries: object) -> None:
        pass


def verify_layer(stream: LayerStream, diff_id: Digest) -> EncodedChangeset:
    """What an uncompressed layer does, if it is what its diffID says.

    Raises:
        DigestMismatchError: It is not.
        InvalidLayerError: It is no tar.
    """
    limits = DecompressionLimits()
    with LayerUnpacker(diff_id, _NoSink(), decompression=limits, tar=TarLimits()) as unpacker:
        while chunk := stream.read(_CHUNK):
            unpacker.feed_tar(chunk)
        return EncodedChangeset(unpacker.finish().changeset, diff_id)


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends well, durable by then; else it is gone."""
    ensure_directory(str(path.parent))
    fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(fd, "wb") as file:
            os.fchmod(file.fileno(), _FILE_MODE)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
