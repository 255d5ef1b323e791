"""Images in memory, out of a line each.

shelf = Shelf()
target = shelf.index(shelf.image("linux/amd64"), shelf.image("linux/arm64"))
manifest(shelf.content, target)
"""

from __future__ import annotations

from dataclasses import replace

from orlop.content import MemoryContent
from orlop.digest import Digest
from orlop.mediatype import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from orlop.platform import Platform
from orlop.spec import Descriptor, ImageConfig, Index, Manifest


def store(content, data, digest=None):
    """Put bytes into a content store."""
    digest = digest or Digest.of(data)
    with content.ingest(str(digest), digest=digest, size=len(data)) as ingest:
        ingest.restart()
        ingest.write(data)
        ingest.commit()


class Shelf:
    """Documents and blobs in a content store, each made by a call that gives its descriptor."""

    def __init__(self):
        self.content = MemoryContent()

    def put(self, data, media_type=OCI_LAYER, **fields):
        store(self.content, data)
        return Descriptor.of(media_type, data, **fields)

    def image(self, platform="linux/amd64", *layers, said=True, config_type=OCI_CONFIG):
        """An image of these layers, its platform said in its descriptor or not."""
        platform = Platform.parse(platform)
        layers = tuple(self.put(layer) for layer in layers or (b"one", b"two"))
        config = ImageConfig(platform=platform, diff_ids=tuple(layer.digest for layer in layers))
        raw = Manifest(config=self.put(config.raw, config_type), layers=layers).raw
        return self.put(raw, OCI_MANIFEST, platform=platform if said else None)

    def index(self, *children, **fields):
        return self.put(Index(manifests=children).raw, OCI_INDEX, **fields)

    def drop(self, descriptor):
        """Take a blob away; its descriptor."""
        assert self.content.delete(descriptor.digest)
        return descriptor

    def manifest(self, descriptor):
        return Manifest.decode(self.content.read(descriptor.digest, descriptor.size))

    def nest(self, depth):
        """An image inside so many indexes."""
        found = self.image(said=False)
        for _ in range(depth):
            found = self.index(found)
        return found


def without_platform(descriptor):
    return replace(descriptor, platform=None)


class MemorySource:
    """A source of the blobs of a content store, that can break on purpose.

    Args:
        content: Where they are.
        breaks: Digests whose streams fail once, with the number of bytes before.
        ranges: Whether a stream begins where it is asked to.
    """

    def __init__(self, content, breaks=None, ranges=True):
        self.content = content
        self.opened = []
        self._breaks = dict(breaks or {})
        self._ranges = ranges

    def open(self, descriptor, offset=0):
        self.opened.append((descriptor.digest, offset))
        with self.content.open(descriptor.digest) as reader:
            data = reader.read()
        start = offset if self._ranges else 0
        return MemoryStream(data, start, self._breaks.pop(descriptor.digest, None))


class MemoryStream:
    def __init__(self, data, offset, breaks):
        self.offset = offset
        self._position = offset
        self._data = data
        self._breaks = breaks

    def read(self, size):
        if self._breaks is not None and self._position >= self._breaks:
            raise ConnectionResetError("the line is cut")
        end = min(self._position + min(size, 4), self._breaks or len(self._data))
        data = self._data[self._position : end]
        self._position += len(data)
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
