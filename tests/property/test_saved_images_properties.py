"""Whatever images are called: what is written into an archive is read from it again."""

import io
import json

from hypothesis import given
from hypothesis import strategies as st

from orlop.layout.files.archive import ArchiveFiles
from orlop.layout.files.spool import spool_stream
from orlop.layout.place import Place
from orlop.layout.read.docker import open_all_docker
from orlop.layout.read.oci import open_all_oci
from orlop.layout.write.archive import ArchiveTarget
from orlop.mediatype import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from orlop.platform import Platform
from orlop.spec.descriptor import Descriptor
from orlop.transfer import Item, make_plan
from orlop.transfer.copy import copy_items

REPOSITORIES = st.sampled_from(["quay.io/one", "quay.io/two", "localhost/three", "h:5000/a/b"])
TAGS = st.sampled_from(["latest", "1", "v2", "__x"])
NAMES = st.builds("{}:{}".format, REPOSITORIES, TAGS)


class MemorySource:
    """An image of a number, made up."""

    names = ()

    def __init__(self, number, layers):
        self.content = {}
        parts = [self._put(OCI_LAYER, b"layer %d" % each) for each in layers]
        rootfs = {"type": "layers", "diff_ids": [each.digest for each in parts]}
        config = {"os": "linux", "architecture": "amd64", "rootfs": rootfs, "author": str(number)}
        document = {
            "schemaVersion": 2,
            "config": self._put(OCI_CONFIG, json.dumps(config).encode()).encode(),
            "layers": [each.encode() for each in parts],
        }
        self._target = self._put(OCI_MANIFEST, json.dumps(document).encode())

    def _put(self, media_type, data):
        descriptor = Descriptor.of(media_type, data)
        self.content[descriptor.digest] = data
        return descriptor

    def resolve(self):
        return self._target

    def read(self, descriptor):
        return self.content[descriptor.digest]

    def open(self, descriptor, offset=0):
        return io.BytesIO(self.content[descriptor.digest])


@st.composite
def images(draw):
    """Images with names of their own, some with none, or with plain tags alone."""
    free = draw(st.lists(NAMES, unique=True, max_size=8))
    free_tags = draw(st.lists(TAGS, unique=True, max_size=3))
    items = []
    for number in range(draw(st.integers(1, 4))):
        count = draw(st.integers(0, 3))
        names, free = free[:count], free[count:]
        tags = [] if names else free_tags[:1]
        free_tags = free_tags[len(tags) :]
        source = MemorySource(number, draw(st.lists(st.integers(0, 3), max_size=3)))
        items.append(
            Item(
                source=source,
                plan=make_plan(source),
                names=tuple(names),
                tags=tuple(tags),
                fallback="localhost/fallback:x",
            )
        )
    return items


def archived(items, docker):
    stream = io.BytesIO()
    copied = copy_items(items, ArchiveTarget(stream, docker=docker))
    assert [each.target for each in copied] == [item.plan.target for item in items]
    again = io.BytesIO()
    copy_items(items, ArchiveTarget(again, docker=docker))
    assert again.getvalue() == stream.getvalue()
    kind = "oci-archive" if docker is None else "docker-archive"
    place = Place(transport=kind, path="-")
    stream.seek(0)
    return place, ArchiveFiles(spool_stream(stream), place.path)


@given(images())
def test_as_an_oci_archive(items):
    """Each image is there once, by all of its names and tags."""
    place, files = archived(items, None)
    found = {each.resolve().digest: each for each in open_all_oci(place, files)}
    files.close()
    assert set(found) == {item.plan.target.digest for item in items}
    for item in items:
        source = found[item.plan.target.digest]
        assert set(source.names) == set(item.names)
        assert set(source.tags) == set(item.tags)


@given(images())
def test_as_a_docker_archive(items):
    """Each image is there once, by its digest and by all of its full names."""
    place, files = archived(items, Platform.parse("linux/amd64"))
    found = {each.resolve().digest: each for each in open_all_docker(place, files)}
    files.close()
    assert set(found) == {item.plan.target.digest for item in items}
    for item in items:
        source = found[item.plan.target.digest]
        assert set(source.names) == set(item.image.full_names)
