"""Whatever a layout holds, `validate` says what is wrong with it, and never falls over it."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.errors import OrlopError
from orlop.layout import Violation, collect, validate
from orlop.spec import Index
from support.images import digest
from support.layouts import driver_of, put_together

VALID = {path: each.data for path, each in put_together().files.items()}
DOCUMENTS = ("layout", "config", "manifest", "index")

names = st.sampled_from([
    "digest", "size", "mediaType", "data", "urls", "annotations", "platform", "manifests", "layers",
    "config", "rootfs", "diff_ids", "type", "history", "subject", "artifactType", "schemaVersion",
    "os", "created", "Labels", "Env", "imageLayoutVersion", "", "x",
])  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from([digest(b""), "sha256:../../x", "application/vnd.oci.empty.v1+json", "e30="])
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(names | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(value, way=()):
    """The way to every member and element of a document."""
    found = [way] if way else []
    if isinstance(value, dict):
        below = value.items()
    else:
        below = enumerate(value if isinstance(value, list) else ())
    for key, each in below:
        found += places(each, (*way, key))
    return found


def judge(driver):
    """All violations, or that an error of orlop's own kept them from being found."""
    try:
        found = list(validate(driver))
    except OrlopError:
        return None
    assert all(isinstance(each, Violation) and each.where and each.message for each in found)
    return found


@settings(max_examples=150, deadline=None)
@given(data=st.data(), part=st.sampled_from(DOCUMENTS))
def test_a_member_that_is_something_else(data, part):
    """Whatever stands where a member should be, the layout is judged to its end."""

    def edit(document):
        *way, last = data.draw(st.sampled_from(places(document)))
        holder = document
        for key in way:
            holder = holder[key]
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "remove":
            del holder[last]
        elif action == "add" and isinstance(holder, dict):
            holder[data.draw(names)] = data.draw(values)
        else:
            holder[last] = data.draw(values)

    driver = put_together({part: edit})
    found = judge(driver)
    assert found is not None


@settings(max_examples=150, deadline=None)
@given(data=st.data(), path=st.sampled_from(sorted(VALID)))
def test_bytes_that_are_something_else(data, path):
    """The content of `blobs/<alg>/<encoded>` MUST match the digest: each change of it is found."""
    before = VALID[path]
    at = data.draw(st.integers(0, len(before)))
    length = data.draw(st.integers(0, 8))
    new = before[:at] + data.draw(st.binary(max_size=8)) + before[at + length :]
    found = judge(driver_of(VALID | {path: new}))
    assert found is not None
    if path.startswith("blobs/") and new != before:
        assert any(each.rule == "a blob's content matches its digest" for each in found)


@settings(max_examples=100, deadline=None)
@given(names=st.lists(st.text(max_size=12), max_size=4), data=st.binary(max_size=40))
def test_files_of_any_name(names, data):
    """Implementations should not error when encountering unknown files."""
    more = {f"blobs/{name}": data for name in names} | {name: data for name in names if name}
    assert judge(driver_of(more | VALID)) is not None


@settings(max_examples=60, deadline=None)
@given(document=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_as_a_document(document):
    """`index.json` MUST be an image index; anything else is told, and nothing is removed for it."""
    driver = driver_of(VALID | {"index.json": document})
    if not judge(driver):
        Index.decode(document)
    try:
        collect(driver)
    except OrlopError:
        assert {path: each.data for path, each in driver.files.items()} == VALID | {
            "index.json": document
        }


@settings(max_examples=60, deadline=None)
@given(layer=st.binary(max_size=2000), at=st.integers(0, 600))
def test_any_bytes_as_a_layer(layer, at):
    """A layer MUST be a tar archive: what is none is told or noted, its digest verified."""
    good = next(data for path, data in VALID.items() if data.startswith(b"\x1f\x8b"))
    for stored in (layer, good[:at] + layer + good[at:]):
        assert judge(put_together(layers=[b""], stored=[stored])) is not None
