"""What is copied of an image, for any tree of indexes and whatever its place has lost."""

import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.errors import NotFoundError
from orlop.mediatype import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from orlop.spec.descriptor import Descriptor
from orlop.transfer import make_plan


class MemorySource:
    """An image whose content lies in a dictionary."""

    names = ()

    def __init__(self):
        self.content = {}
        self.target = None
        self._number = count()

    def put(self, media_type, document):
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        descriptor = Descriptor.of(media_type, raw)
        self.content[descriptor.digest] = raw
        return descriptor

    def manifest(self, layers):
        config = self.put(OCI_CONFIG, {"number": next(self._number)})
        parts = [self.put(OCI_LAYER, b"layer %d" % each) for each in layers]
        return self.put(
            OCI_MANIFEST,
            {
                "schemaVersion": 2,
                "config": config.encode(),
                "layers": [each.encode() for each in parts],
            },
        )

    def index(self, children):
        manifests = [each.encode() for each in children]
        return self.put(OCI_INDEX, {"schemaVersion": 2, "manifests": manifests})

    def build(self, tree):
        """A tree of lists is one of indexes; a tuple is a manifest with these layers."""
        if isinstance(tree, tuple):
            return self.manifest(tree)
        return self.index([self.build(each) for each in tree])

    def resolve(self):
        return self.target

    def read(self, descriptor):
        if descriptor.digest not in self.content:
            raise NotFoundError(f"lacks {descriptor.digest}")
        return self.content[descriptor.digest]

    def holds(self, descriptor):
        return descriptor.digest in self.content


MANIFESTS = st.lists(st.integers(0, 5), max_size=4).map(tuple)
TREES = st.recursive(MANIFESTS, lambda below: st.lists(below, max_size=4), max_leaves=12)


def below(source, digest, media_type=None):
    """Everything that a document leads to, itself included, whether or not it is there."""
    raw = source.content.get(digest)
    document = json.loads(raw) if raw and raw[:1] == b"{" else {}
    found = {digest}
    for child in document.get("manifests", []):
        found |= below(source, child["digest"])
    for part in (
        *([document["config"]] if "config" in document else []),
        *document.get("layers", []),
    ):
        found.add(part["digest"])
    return found


@given(TREES)
def test_of_a_whole_image_everything_is_copied(tree):
    """All that its target leads to, each once, children before parents."""
    source = MemorySource()
    source.target = source.build(tree)
    plan = make_plan(source, all_platforms=True)
    assert plan == make_plan(source)
    assert (plan.target, plan.notes) == (source.target, ())
    copied = [each.digest for each, _ in plan.documents] + [each.digest for each in plan.blobs]
    assert len(copied) == len(set(copied))
    assert set(copied) == below(source, source.target.digest)
    seen = set()
    for descriptor, raw in plan.documents:
        assert Digest.of(raw) == descriptor.digest
        assert {each["digest"] for each in json.loads(raw).get("manifests", [])} <= seen
        seen.add(descriptor.digest)


@given(TREES, st.data())
def test_of_what_has_lost_content_only_whole_images_are_copied(tree, data):
    """Every manifest of a plan has all of its parts; a manifest left out has lost something."""
    source = MemorySource()
    source.target = source.build(tree)
    whole = make_plan(source)
    everything = sorted(source.content)
    lost = data.draw(st.sets(st.sampled_from(everything), max_size=3))
    needed = lost & below(source, source.target.digest)
    for each in lost:
        del source.content[each]
    if needed:
        with pytest.raises(NotFoundError):
            make_plan(source, all_platforms=True)
    try:
        plan = make_plan(source)
    except NotFoundError:
        assert needed
        return
    assert bool(plan.notes) == bool(needed)
    documents = {each.digest for each, _ in plan.documents}
    blobs = {each.digest for each in plan.blobs}
    for descriptor, raw in plan.documents:
        if descriptor.media_type == OCI_MANIFEST:
            document = json.loads(raw)
            parts = {each["digest"] for each in (document["config"], *document["layers"])}
            assert parts <= blobs
    assert plan.target.digest in documents
    for descriptor, raw in whole.documents:
        if descriptor.media_type == OCI_MANIFEST and plan.target.digest == source.target.digest:
            document = json.loads(raw)
            parts = {each["digest"] for each in (document["config"], *document["layers"])}
            reachable = descriptor.digest in below(source, source.target.digest)
            is_whole = not lost & (parts | {descriptor.digest}) and reachable
            assert (descriptor.digest in documents) == is_whole
