"""What is noted about disks, encoded and read again."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orlop.digest import Digest
from orlop.disks import ImageMeta, LayerRef, OCIConfig
from orlop.disks.records import DiskRecord
from orlop.errors import LayerFSError, MetadataError

texts = st.text(max_size=20)
lists = st.lists(texts, max_size=4).map(tuple)
maps = st.dictionaries(texts, texts, max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
configs = st.builds(
    OCIConfig,
    user=texts, working_dir=texts, entrypoint=lists, cmd=lists, env=lists, labels=maps,
    exposed_ports=lists, volumes=lists, stop_signal=texts,
    healthcheck=st.dictionaries(texts, values, max_size=3),
)  # fmt: skip
digests = st.binary(max_size=8).map(Digest.of)
refs = st.builds(
    LayerRef, digest=digests, fs_type=st.sampled_from(["erofs", "ext4", "squashfs"]),
    size=st.integers(0, 1 << 60), diff_ids=st.lists(digests, max_size=3).map(tuple),
)  # fmt: skip
metas = st.builds(
    ImageMeta, tag=texts, digest=digests | st.just(""), size=st.integers(0, 1 << 60),
    created_at=st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1), timezones=st.just(UTC)),
    source=st.sampled_from(["registry", "import", "tag"]), oci=st.none() | configs,
)  # fmt: skip
records = st.builds(
    DiskRecord,
    meta=metas,
    layers=st.lists(refs, max_size=3).map(tuple),
    canonical_layers=st.lists(refs, max_size=3).map(tuple),
)


def through_json(value):
    return json.loads(json.dumps(value))


@given(configs)
def test_a_config_outlives_encoding(config):
    assert OCIConfig.decode(through_json(config.encode())) == config


@given(refs)
def test_a_disk_outlives_encoding(ref):
    assert LayerRef.decode(through_json(ref.encode())) == ref


@given(metas)
def test_notes_outlive_encoding(meta):
    """To the microsecond, which floating-point numbers of this century cannot tell."""
    assert ImageMeta.decode(through_json(meta.encode())) == meta


@given(records)
def test_a_record_outlives_encoding(record):
    assert DiskRecord.decode(record.encode()) == record


@given(records, st.data())
def test_a_record_cut_short_is_broken(record, data):
    encoded = record.encode()
    with pytest.raises(MetadataError):
        DiskRecord.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_broken(data):
    with pytest.raises(MetadataError):
        DiskRecord.decode(data)


def test_a_time_of_another_zone():
    moment = datetime(2024, 5, 6, 7, 8, 9, 123457, tzinfo=timezone(timedelta(hours=5)))
    assert (
        ImageMeta.decode(through_json(ImageMeta(created_at=moment).encode())).created_at == moment
    )


REF = LayerRef(digest=Digest.of(b"x"), size=5).encode()
META = ImageMeta(tag="t", oci=OCIConfig(user="u")).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "none"}, {"digest": 5}, {"digest": None}, {"size": "5"}, {"size": -1},
        {"size": float("inf")}, {"size": float("nan")}, {"size": True}, {"diff_ids": None},
        {"diff_ids": ["none"]}, {"diff_ids": [5]},
    ],
    ids=str,
)  # fmt: skip
def test_a_broken_disk_is_refused(change):
    with pytest.raises(MetadataError, match="the record of a disk is broken"):
        LayerRef.decode({**REF, **change})


@pytest.mark.parametrize("fs", ["btrfs", "", None, 5, ["erofs"], "x" * 1000])
def test_a_filesystem_that_is_not_known(fs):
    """Also within a record, where it is no broken one: a later version may know it."""
    with pytest.raises(LayerFSError, match="unknown filesystem") as caught:
        LayerRef.decode({**REF, "fs_type": fs})
    assert len(str(caught.value)) < 100
    record = {"meta": META, "layers": [{**REF, "fs_type": fs}], "canonical_layers": []}
    with pytest.raises(LayerFSError):
        DiskRecord.decode(json.dumps(record).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"tag": 5}, {"tag": None}, {"digest": []}, {"size": "large"}, {"size": float("inf")},
        {"size": -1}, {"created_at": "yesterday"}, {"created_at": 5}, {"created_at": None},
        {"source": "elsewhere"}, {"source": []}, {"oci": []}, {"oci": {"user": 5}},
    ],
    ids=str,
)  # fmt: skip
def test_broken_notes_are_refused(change):
    with pytest.raises(MetadataError):
        ImageMeta.decode({**META, **change})


@pytest.mark.parametrize("name", ["tag", "size", "created_at", "source"])
def test_notes_that_lack_something(name):
    with pytest.raises(MetadataError):
        ImageMeta.decode({key: value for key, value in META.items() if key != name})


@pytest.mark.parametrize(
    "config",
    [
        None, [], "text", {"user": 5}, {"cmd": "sh"}, {"cmd": [1]}, {"env": {}}, {"labels": []},
        {"labels": {"a": 1}}, {"labels": {"a": None}}, {"healthcheck": "none"},
    ],
    ids=str,
)  # fmt: skip
def test_a_broken_config_is_refused(config):
    with pytest.raises(MetadataError):
        OCIConfig.decode(config)


def test_a_record_that_is_too_deep():
    with pytest.raises(MetadataError):
        DiskRecord.decode(b"[" * 1_000_000)


def test_members_that_are_not_known_are_passed_over():
    assert OCIConfig.decode({"user": "u", "later": [1]}) == OCIConfig(user="u")


def test_of_a_variable_that_comes_twice_the_last_counts():
    assert OCIConfig(env=("A=1", "B", "A=2=3")).environment == {"A": "2=3", "B": ""}
