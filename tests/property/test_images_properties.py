"""Graphs of descriptors, and indexes of images, whatever they look like."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.errors import NotFoundError
from orlop.images import (
    check,
    children_handler,
    choose,
    dispatch,
    filter_platforms,
    handlers,
    iter_walk,
    limit_manifests,
    parts,
    size,
)
from orlop.mediatype import OCI_LAYER
from orlop.platform import Platform, ranked
from orlop.spec import Descriptor
from support.shelf import Shelf

NODES = [Descriptor.of(OCI_LAYER, bytes([number])) for number in range(8)]
NUMBERS = st.integers(0, len(NODES) - 1)
GRAPHS = st.lists(st.lists(NUMBERS, max_size=4), min_size=len(NODES), max_size=len(NODES))
ROOTS = st.lists(NUMBERS, max_size=3)
PLATFORMS = ["linux/amd64", "linux/amd64/v3", "linux/386", "linux/arm64", "linux/arm/v7"]
WANTED = st.sampled_from(PLATFORMS).map(Platform.parse)
IMAGES = st.lists(st.tuples(st.sampled_from(PLATFORMS), st.booleans()), max_size=6)


def handler_of(edges):
    return lambda descriptor: [NODES[number] for number in edges[NODES.index(descriptor)]]


def recursive(edges, roots, seen):
    """What a walk should visit, in its order, written as the definition has it."""
    for number in roots:
        if number not in seen:
            seen.append(number)
            recursive(edges, edges[number], seen)
    return seen


@given(GRAPHS, ROOTS)
def test_walk(edges, roots):
    """A digest met twice is visited once: each before what lies below it, that before siblings."""
    found = iter_walk(handler_of(edges), *(NODES[number] for number in roots))
    assert [NODES.index(each) for each in found] == recursive(edges, roots, [])


@given(GRAPHS, ROOTS, st.integers(1, 4))
def test_dispatch(edges, roots, jobs):
    """Handlers for siblings are run in parallel; the descriptors visited are those of a walk."""
    begun = []
    handler = handlers(begun.append, handler_of(edges))
    dispatch(handler, *(NODES[number] for number in roots), jobs=jobs)
    walked = recursive(edges, roots, [])
    assert Counter(NODES.index(each) for each in begun) == Counter(walked)
    if jobs == 1:
        assert [NODES.index(each) for each in begun] == walked


def shelf_of(images):
    """An index of images of these platforms, said or silent, all different."""
    shelf = Shelf()
    made = [
        shelf.image(platform, str(number).encode(), said=said)
        for number, (platform, said) in enumerate(images)
    ]
    return shelf, shelf.index(*made), made


@given(IMAGES, WANTED)
def test_choose(images, wanted):
    """Those that say a fitting platform come first; of the others their configs tell."""
    shelf, target, made = shelf_of(images)
    for said in (True, False):
        group = [at for at, image in enumerate(images) if image[1] is said]
        order = ranked(wanted, [Platform.parse(images[at][0]) for at in group])
        if order:
            assert choose(shelf.content, target, wanted).descriptor == made[group[order[0]]]
            return
    with pytest.raises(NotFoundError):
        choose(shelf.content, target, wanted)


@given(IMAGES, WANTED)
def test_the_handlers_of_platforms_choose_as_choose_does(images, wanted):
    """FilterPlatforms inside LimitManifests of one is the image, where all say their platform."""
    shelf, target, _ = shelf_of([(platform, True) for platform, _ in images])
    below = filter_platforms(children_handler(shelf.content), wanted)
    try:
        expected = list(parts(shelf.content, target, wanted))
    except NotFoundError:
        expected = None
    try:
        found = list(iter_walk(limit_manifests(below, wanted, 1), target))
    except NotFoundError:
        found = None
    assert found == expected


@given(IMAGES, st.sets(st.integers(0, 20)))
def test_completeness(images, lost):
    """Missing is what is required and not there; what is there adds up to the size."""
    shelf, target, _ = shelf_of(images)
    all_parts = {part.digest: part for part in parts(shelf.content, target)}
    everything = size(shelf.content, target)
    assert everything == sum(part.size for part in all_parts.values())
    leaves = [part for part in all_parts.values() if not below_of(shelf, part)]
    gone = {part.digest for at, part in enumerate(leaves) if at in lost and part != target}
    for digest in gone:
        shelf.content.delete(digest)
    found = check(shelf.content, target)
    assert {each.digest for each in found.missing} == gone
    assert {each.digest for each in found.required} == gone | {d.digest for d in found.present}
    assert found.complete == (not gone)


def below_of(shelf, descriptor):
    return children_handler(shelf.content)(descriptor)
