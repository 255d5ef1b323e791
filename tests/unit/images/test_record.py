import pytest

from orlop import images
from orlop.images import ImageRecord
from orlop.platform import Platform
from support.shelf import Shelf

AMD64 = Platform.parse("linux/amd64")


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def record(shelf):
    target = shelf.index(shelf.image("linux/arm64", b"a"), shelf.image("linux/amd64", b"b", b"c"))
    return ImageRecord(name="example.org/app:1", target=target)


def test_a_record_is_a_value(record):
    assert record == ImageRecord(name=record.name, target=record.target, labels={})
    assert hash(record) == hash(ImageRecord(name=record.name, target=record.target))
    assert (record.labels, record.created_at_ns, record.updated_at_ns) == ({}, 0, 0)
    with pytest.raises(AttributeError):
        record.name = "another"


@pytest.mark.parametrize("platform", [None, AMD64])
@pytest.mark.parametrize("name", ["manifest", "config", "size", "usage", "check"])
def test_a_method_is_the_function_of_its_target(shelf, record, name, platform):
    expected = getattr(images, name)(shelf.content, record.target, platform)
    assert getattr(record, name)(shelf.content, platform) == expected


def test_config_rootfs_and_platforms_of_a_record(shelf, record):
    assert [str(each) for each in record.platforms(shelf.content)] == ["linux/arm64", "linux/amd64"]
    assert len(record.rootfs(shelf.content)) == 1
    assert len(record.rootfs(shelf.content, AMD64)) == 2
    config = images.read_config(shelf.content, record.config(shelf.content, AMD64))
    assert config.diff_ids == record.rootfs(shelf.content, AMD64)
