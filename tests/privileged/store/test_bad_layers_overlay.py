"""Hostile layers that root writes as directories: refused, or harmless."""

import os

import pytest

from support.hostile import BROKEN, HARMLESS
from support.images import ImageBuilder, directory, file
from support.marks import needs_root
from support.stores import store_with_image

pytestmark = needs_root


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with store_with_image(tmp_path_factory.mktemp("bad-overlays"), driver="overlay") as store:
        yield store


@pytest.fixture
def builder():
    base = (directory("etc"), file("etc/passwd", b"root"))
    return ImageBuilder(compression="none").layer(*base)


@pytest.mark.parametrize("case", BROKEN)
def test_broken(tmp_path, store, builder, case):
    data, says = BROKEN[case]
    layout = builder.raw_layer(data).write(tmp_path / "image")
    done = store.refuses(layout.source, code=1, says=says)
    assert f"layer {layout.layers[1]['digest']}" in done.err


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless(tmp_path, store, builder, case):
    data, path = HARMLESS[case]
    image = store.pull(builder.raw_layer(data).write(tmp_path / "image").source, "--tag", "x:1")
    assert store.orlop("cat", image, path).out == "x"
    place = store.orlop("mount", image).out.strip()
    try:
        with open(place + path) as shown:
            assert shown.read() == "x"
    finally:
        assert store.orlop("umount", place).code == 0
    assert not os.path.lexists("/orlop-test-escape")
    store.orlop("rm", "x:1")
    store.collect()
