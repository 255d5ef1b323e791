"""Fields that a filter may ask for, told to whoever has misspelt one."""

import pytest

from orlop.content import INFO_FIELDS, STATUS_FIELDS, Info, IngestStatus, info_fields, status_fields
from orlop.digest import Digest
from orlop.errors import InvalidFilterError
from orlop.filters import parse, require_fields
from orlop.images.lookup import IMAGE_FIELDS, row_fields
from orlop.images.rows import encode_target
from orlop.metadata import ImageRow, LeaseRecord
from orlop.spec.descriptor import Descriptor
from orlop.store.leases import LEASE_FIELDS, lease_fields

DIGEST = Digest.of(b"x")
FIELDS = ("name", "target.digest", "labels.KEY")


@pytest.mark.parametrize(
    "text", ["", "name", "target.digest==x", "labels.a", 'labels."a/b.c"', "labels.a.b,name~=x"]
)
def test_fields_that_are_known(text):
    require_fields(parse(text), FIELDS)


@pytest.mark.parametrize(
    ("text", "field", "column"),
    [
        ("nmae==x", "nmae", 1),
        ("name,nmae!=x", "nmae", 6),
        ("labels", "labels", 1),
        ("labels.KEY,label.x", "label.x", 12),
        ("name.x", "name.x", 1),
        ("target", "target", 1),
        ("target.size", "target.size", 1),
    ],
)
def test_fields_that_are_not_known(text, field, column):
    with pytest.raises(InvalidFilterError, match=f"no field '{field}'") as caught:
        require_fields(parse("name", text), FIELDS)
    assert caught.value.where == f"column {column}"
    assert "name, target.digest, labels.KEY" in caught.value.hint


TARGET = Descriptor.of("application/x", b"x", annotations={"KEY": "a"})
RECORDS = [
    (INFO_FIELDS, info_fields(
        Info(digest=DIGEST, size=1, created_ns=1, updated_ns=1, labels={"KEY": "a"}))),
    (STATUS_FIELDS, status_fields(IngestStatus(
        reference="r", digest=DIGEST, size=1, offset=1, started_ns=1, updated_ns=1))),
    (LEASE_FIELDS, lease_fields(LeaseRecord(
        id="l", owner=None, created_at_ns=1, expires_at_ns=1, labels={"KEY": "a"}))),
    (IMAGE_FIELDS, row_fields(ImageRow(
        name="n", target=encode_target(TARGET), target_digest=DIGEST, image_id=DIGEST,
        platform="linux/amd64", size=1, created_at_ns=1, updated_at_ns=1, labels={"KEY": "a"}))),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "adaptor"), RECORDS)
def test_every_field_that_is_told_has_a_value(fields, adaptor):
    assert all(adaptor(tuple(field.split("."))) for field in fields)
