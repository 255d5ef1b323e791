"""The functions on layouts: what they refuse, and what their errors say."""

import json
from dataclasses import replace

import pytest

from orlop.digest import Digest
from orlop.errors import (
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    OrlopError,
    UnsupportedError,
)
from orlop.layout import (
    InitOptions,
    MemoryDriver,
    init,
    put_manifest_descriptor_to_index,
    read_image_layout,
    read_index,
    update_index,
    write_index,
    write_json_blob,
)
from orlop.layout import index as index_module
from orlop.layout.driver import MemoryFile
from orlop.spec import Descriptor, Index
from orlop.spec.index import MAX_MANIFESTS
from orlop.spec.layout import MAX_INDEX_SIZE, MAX_LAYOUT_SIZE
from orlop.testing.layout import manifest


@pytest.fixture
def driver():
    found = MemoryDriver()
    init(found)
    return found


def spoil(driver, path, data):
    driver.files[path] = MemoryFile(data=data, mode=0o644)


def test_the_version_is_the_callers(driver):
    other = MemoryDriver()
    init(other, InitOptions(version="1.1.0", skip_index=True))
    assert other.files["oci-layout"].data == b'{"imageLayoutVersion":"1.1.0"}'


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", InvalidDocumentError),
        (b"{}", InvalidDocumentError),
        (b'{"imageLayoutVersion":1}', InvalidDocumentError),
        (b'{"imageLayoutVersion":"2.0.0"}', UnsupportedError),
        (b" " * (MAX_LAYOUT_SIZE + 1), LimitExceededError),
    ],
)
def test_a_broken_layout_file_is_named(driver, data, error):
    spoil(driver, "oci-layout", data)
    with pytest.raises(error, match="layout in memory: oci-layout"):
        read_image_layout(driver)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", InvalidDocumentError),
        (b'{"schemaVersion":2}', InvalidDocumentError),
        (b'{"schemaVersion":2,"manifests":[{}]}', InvalidDocumentError),
        (b" " * (MAX_INDEX_SIZE + 1), LimitExceededError),
        (b'{"schemaVersion":2,"manifests":[' + b"1," * MAX_MANIFESTS + b"1]}", LimitExceededError),
    ],
    ids=["empty", "none", "bad", "large", "long"],
)
def test_a_broken_index_is_named_and_left_alone(driver, data, error):
    spoil(driver, "index.json", data)
    for use in (read_index, lambda found: put_manifest_descriptor_to_index(found, manifest(1))):
        with pytest.raises(error, match=r"layout in memory: index\.json"):
            use(driver)
    assert driver.files["index.json"].data == data


def test_an_index_with_null_for_manifests_is_mended(driver):
    spoil(driver, "index.json", b'{"schemaVersion":2,"manifests":null}')
    put_manifest_descriptor_to_index(driver, manifest(1, "a"))
    assert len(json.loads(driver.files["index.json"].data)["manifests"]) == 1


def test_what_could_not_be_read_again_is_not_written(driver):
    before = driver.files["index.json"]
    good = manifest(1, "a")
    for bad in (
        replace(good, size=-1),
        replace(good, media_type="no type"),
        replace(good, urls=("no uri",)),
        replace(good, extra={"Size": 3}),
        replace(good, data=b"other"),
    ):
        with pytest.raises(OrlopError, match=r"\$\.manifests\[0\]"):
            put_manifest_descriptor_to_index(driver, bad)
    with pytest.raises(InvalidDocumentError, match="ambiguous"):
        write_index(driver, Index(manifests=(), extra={"layers": []}))
    assert driver.files["index.json"] is before


def test_an_index_is_not_longer_or_larger_than_what_can_be_read(driver):
    before = driver.files["index.json"]
    with pytest.raises(LimitExceededError) as caught:
        write_index(driver, Index(manifests=(manifest(1),) * (MAX_MANIFESTS + 1)))
    assert (caught.value.limit, caught.value.value) == ("MAX_MANIFESTS", MAX_MANIFESTS)
    large = tuple(
        replace(manifest(number), annotations={"a": "x" * (1 << 20)}) for number in range(17)
    )
    with pytest.raises(LimitExceededError) as caught:
        write_index(driver, Index(manifests=large))
    assert (caught.value.limit, caught.value.value) == ("MAX_INDEX_SIZE", MAX_INDEX_SIZE)
    assert caught.value.hint
    assert driver.files["index.json"] is before
    write_index(driver, Index(manifests=large[:8]))
    assert read_index(driver).manifests == large[:8]


def test_as_many_tags_as_there_may_be_fit(driver):
    """A full index with containerd's long names is no larger than an index may be."""
    names = {
        "org.opencontainers.image.ref.name": "v" * 64,
        "io.containerd.image.name": "registry.example.com/" + "team/" * 20 + "image:" + "v" * 64,
    }
    one = replace(manifest(1), annotations=names)
    index = Index(manifests=(one,) * MAX_MANIFESTS)
    assert index_module.decode_index(index_module.encode_index(index)).manifests == index.manifests


def test_a_change_that_fails_changes_nothing(driver):
    before = driver.files["index.json"]

    def fail(index):
        raise NotFoundError("nothing to change")

    with pytest.raises(NotFoundError, match="nothing"):
        update_index(driver, fail)
    assert driver.files["index.json"] is before
    put_manifest_descriptor_to_index(driver, manifest(1, "the lock is free again"))


def test_update_returns_what_is_written(driver):
    found = update_index(driver, lambda index: replace(index, manifests=(manifest(1),)))
    assert found.manifests == read_index(driver).manifests == (manifest(1),)


def test_a_value_of_any_algorithm_is_put(driver):
    descriptor = write_json_blob(driver, {}, "application/vnd.oci.empty.v1+json")
    other = Descriptor(
        media_type="a/b", digest=Digest.of(b"{}", "sha512"), size=2, annotations={"a": "b"}
    )
    for found in (descriptor, other):
        put_manifest_descriptor_to_index(driver, found)
    assert read_index(driver).manifests == (descriptor, other)
