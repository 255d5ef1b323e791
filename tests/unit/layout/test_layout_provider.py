"""A layout is what the functions of `orlop.images` work on, as a store is."""

import pytest

from orlop.errors import NotFoundError
from orlop.images import check, children_handler, config, usage, walk
from orlop.layout import DirectoryDriver, LayoutProvider, delete_blob, read_index
from support.images import ImageBuilder, file


@pytest.fixture
def layout(tmp_path):
    return ImageBuilder().layer(file("a", b"a")).write(tmp_path / "layout", "v1")


def test_an_image_of_a_layout(layout):
    driver = DirectoryDriver(layout.path)
    provider = LayoutProvider(driver)
    [target] = read_index(driver).manifests
    seen = []
    walk(lambda each: seen.append(each.digest) or children_handler(provider)(each), target)
    assert len(seen) == 3
    assert config(provider, target).digest == seen[1]
    assert usage(provider, target) == sum(provider.stat(digest).size for digest in seen)
    assert check(provider, target).missing == ()


def test_what_a_layout_lacks(layout):
    driver = DirectoryDriver(layout.path)
    provider = LayoutProvider(driver)
    [target] = read_index(driver).manifests
    wanted = config(provider, target)
    delete_blob(driver, wanted.digest)
    assert provider.stat(wanted.digest) is None
    with pytest.raises(NotFoundError):
        provider.read(wanted.digest, wanted.size)
    assert [each.digest for each in check(provider, target).missing] == [wanted.digest]
