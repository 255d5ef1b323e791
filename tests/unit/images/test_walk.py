import sys

import pytest

from orlop.errors import LimitExceededError
from orlop.images import (
    MAX_DEPTH,
    SkipDescriptor,
    StopHandler,
    children_handler,
    dispatch,
    handlers,
    iter_walk,
    walk,
)
from orlop.mediatype import OCI_CONFIG, OCI_INDEX, OCI_LAYER
from orlop.spec import Descriptor
from support.shelf import Shelf

NAMES = {}


def named(name, media_type=OCI_LAYER):
    """A descriptor that a graph can be written with."""
    found = Descriptor.of(media_type, name.encode())
    NAMES[found.digest] = name
    return found


def graph(seen=None, **edges):
    """A handler whose graph is `parent="its children"`, a letter each."""

    def handler(descriptor):
        name = NAMES[descriptor.digest]
        if seen is not None:
            seen.append(name)
        return [named(child) for child in edges.get(name, "")]

    return handler


def walked(handler, *names, again=False):
    found = iter_walk(handler, *map(named, names), again=again)
    return "".join(NAMES[each.digest] for each in found)


def test_a_descriptor_then_all_below_it_then_its_siblings():
    seen = []
    walk(graph(seen, r="abc", a="de", e="f", c="g"), named("r"), named("s"))
    assert "".join(seen) == "radefbcgs"


def test_walking_is_lazy():
    seen = []
    steps = iter_walk(graph(seen, r="ab"), named("r"))
    next(steps)
    assert seen == ["r"]
    next(steps)
    assert seen == ["r", "a"]


def test_a_digest_met_twice_is_visited_once():
    assert walked(graph(r="aba", b="a"), "r", "a") == "rab"


def test_a_digest_is_visited_each_time_if_asked():
    assert walked(graph(r="aba", b="a"), "r", "a", again=True) == "rabaaa"


def test_skip_leaves_out_what_is_below_and_goes_on_with_the_siblings():
    """An early containerd left the remaining siblings out as well."""
    below = graph(r="abc", b="x", c="y")

    def skip(descriptor):
        if NAMES[descriptor.digest] == "b":
            raise SkipDescriptor

    for handler in (handlers(skip, below), handlers(below, skip)):
        assert walked(handler, "r") == "rabcy"


def test_stop_in_a_handler_that_stands_alone_gives_no_children():
    def handler(descriptor):
        if NAMES[descriptor.digest] == "a":
            raise StopHandler
        return graph(r="ab", b="c")(descriptor)

    assert walked(handler, "r") == "rabc"


def test_an_error_ends_the_walk():
    seen = []
    below = graph(seen, r="abc", a="d")

    def fail(descriptor):
        if NAMES[descriptor.digest] == "d":
            raise OSError(5, "broken")

    with pytest.raises(OSError, match="broken"):
        walk(handlers(below, fail), named("r"))
    assert seen == ["r", "a", "d"]


def test_circles_end():
    assert walked(graph(a="b", b="ca", c="a"), "a") == "abc"


@pytest.mark.parametrize("go", [walk, dispatch])
def test_circles_that_are_walked_again_and_again_are_too_deep(go):
    with pytest.raises(LimitExceededError, match="limit MAX_DEPTH = 32"):
        go(graph(a="b", b="a"), named("a"), again=True)


def test_a_digest_that_is_a_document_here_and_a_blob_there_counts_twice():
    """Or a layer of the same digest would hide all that an index leads to."""
    blob, index = named("x", OCI_LAYER), named("x", OCI_INDEX)
    handler = lambda each: [named("y")] if each.media_type == OCI_INDEX else []  # noqa: E731
    assert list(iter_walk(handler, blob, index)) == [blob, index, named("y")]
    assert list(iter_walk(handler, blob, named("x", OCI_CONFIG))) == [blob]


def test_as_deep_as_is_allowed():
    shelf = Shelf()
    target = shelf.nest(MAX_DEPTH - 2)
    found = list(iter_walk(children_handler(shelf.content), target))
    assert len(found) == MAX_DEPTH + 2


@pytest.mark.parametrize("go", [walk, dispatch])
@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, 10_000])
def test_indexes_that_lie_too_deep(go, depth):
    shelf = Shelf()
    target = shelf.nest(depth)
    with pytest.raises(LimitExceededError, match="lies too deep inside others") as error:
        go(children_handler(shelf.content), target)
    assert (error.value.limit, error.value.value) == ("MAX_DEPTH", MAX_DEPTH)


@pytest.mark.parametrize("go", [walk, dispatch])
def test_a_small_graph_of_very_many_ways_is_limited(go, monkeypatch):
    monkeypatch.setattr(sys.modules["orlop.images.walk"], "MAX_VISITS", 100)
    doubling = graph(a="bb", b="cc", c="dd", d="ee", e="ff", f="gg", g="hh")
    with pytest.raises(LimitExceededError, match="limit MAX_VISITS = 100"):
        go(doubling, named("a"), again=True)
    assert walked(doubling, "a") == "abcdefgh"


def test_nothing_to_walk():
    walk(graph())
    assert list(iter_walk(graph())) == []
