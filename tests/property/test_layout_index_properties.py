"""What becomes of an index, whatever is put and removed in whatever order."""

import json

from hypothesis import given
from hypothesis import strategies as st

from orlop.layout import (
    MemoryDriver,
    init,
    put_manifest_descriptor_to_index,
    read_index,
    remove_manifest_descriptor_from_index,
)
from orlop.spec import REF_NAME
from orlop.testing.layout import manifest

names = st.sampled_from(["a", "b", "c:1"])
puts = st.tuples(st.just("put"), st.integers(0, 3), st.none() | st.just("") | names)
removals = st.tuples(st.just("remove"), st.just(0), names)


@given(st.lists(puts | removals, max_size=20))
def test_an_index_is_what_was_put_and_not_replaced(steps):
    """An index.json lists descriptors; the tag of an image is its ref.name annotation."""
    driver = MemoryDriver()
    init(driver)
    model = []
    for verb, number, name in steps:
        if name:
            model = [found for found in model if found.annotations.get(REF_NAME) != name]
        if verb == "put":
            model.append(manifest(number, name))
            put_manifest_descriptor_to_index(driver, manifest(number, name))
        else:
            remove_manifest_descriptor_from_index(driver, name)
    assert list(read_index(driver).manifests) == model
    assert isinstance(json.loads(driver.files["index.json"].data)["manifests"], list)
