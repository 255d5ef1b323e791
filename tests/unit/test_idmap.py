import copy
import json
import pickle

import pytest

from orlop.errors import InvalidError, LimitExceededError, NotFoundError
from orlop.idmap import (
    MAX_ID,
    MAX_RANGES,
    IdMapping,
    IdRange,
    decode_ranges,
    encode_ranges,
    translate,
)


def ids(*texts):
    return IdMapping.parse(texts)


def test_the_text_of_a_range():
    part = IdRange.parse("0:100000:65536")
    assert part == IdRange(container=0, host=100_000, size=65_536)
    assert str(part) == "0:100000:65536"


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1:2", "1:2:3:4", "a:2:3", "-1:2:3", " 1:2:3", "1:2:3\n", "1::3", "+1:2:3",
        "1_0:2:3", "\u0661:2:3", "1:2:" + "9" * 11, "9" * 5000, "1:2:0", "0:4294967295:1",
        "4294967295:0:1", "0:0:4294967296", "1:0:4294967295",
    ],
)  # fmt: skip
def test_what_is_no_range(text):
    with pytest.raises(InvalidError) as caught:
        IdRange.parse(text)
    assert len(str(caught.value)) < 300


def test_ids_end_below_the_one_that_means_none():
    assert IdRange.parse(f"{MAX_ID}:{MAX_ID}:1").size == 1
    assert IdMapping.identity().to_host(MAX_ID, 0) == (MAX_ID, 0)
    with pytest.raises(NotFoundError, match=f"uid {MAX_ID + 1} "):
        IdMapping.identity().to_host(MAX_ID + 1, 0)


def test_ids_go_up_and_down():
    mapping = IdMapping.parse(["0:1000:1", "1:100000:999"], ["0:5:1"])
    assert mapping.to_host(0, 0) == (1000, 5)
    assert mapping.to_host(999, 0) == (100_998, 5)
    assert mapping.to_container(100_000, 5) == (1, 0)


@pytest.mark.parametrize(
    ("uid", "gid", "named"), [(1000, 0, "uid 1000 "), (0, 7, "gid 7 "), (1, 10, "gid 10 ")]
)
def test_an_id_that_is_not_mapped_is_named(uid, gid, named):
    mapping = IdMapping.parse(["0:1000:1", "1:100000:999"], ["0:5:1"])
    with pytest.raises(NotFoundError, match=named):
        mapping.to_host(uid, gid)


@pytest.mark.parametrize("uid", [999, 1001, 99_999, 100_999])
def test_an_id_of_the_machine_that_is_not_mapped_is_named(uid):
    with pytest.raises(NotFoundError, match=f"uid {uid} "):
        ids("0:1000:1", "1:100000:999").to_container(uid, 1000)


@pytest.mark.parametrize(
    "texts",
    [("0:0:10", "9:100:1"), ("0:0:10", "100:9:1"), ("5:0:1", "0:100:10"), ("0:0:1", "0:0:1")],
)
def test_ranges_that_overlap(texts):
    for part in (texts, texts[::-1]):
        with pytest.raises(InvalidError, match="overlap"):
            ids(*part)
        with pytest.raises(InvalidError, match="the gid ranges"):
            IdMapping.parse(["0:0:1"], part)


def test_ranges_that_touch():
    assert ids("10:0:10", "0:10:10").to_host(9, 10) == (19, 0)


def test_a_mapping_needs_ranges():
    with pytest.raises(InvalidError, match="of gids"):
        IdMapping.parse(["0:0:1"], [])


def test_the_number_of_ranges_is_limited():
    texts = [f"{number}:{number * 2}:1" for number in range(MAX_RANGES + 1)]
    assert len(ids(*texts[:-1]).uids) == 340
    with pytest.raises(LimitExceededError, match="MAX_RANGES = 340"):
        ids(*texts)
    many = encode_ranges(map(IdRange.parse, texts))
    with pytest.raises(LimitExceededError, match="MAX_RANGES = 340"):
        decode_ranges(many)


def test_the_order_of_ranges_does_not_matter():
    one, other = ids("0:5:1", "1:100:2"), ids("1:100:2", "0:5:1")
    assert one == other
    assert hash(one) == hash(other)
    assert [part.container for part in other.gids] == [0, 1]
    assert one != ids("0:5:1")


def test_a_mapping_is_copied_and_sent():
    mapping = ids("0:5:1", "1:100:2")
    for twin in (copy.deepcopy(mapping), pickle.loads(pickle.dumps(mapping))):
        assert twin == mapping
        assert twin.to_host(2, 0) == (101, 5)


def test_identity():
    assert IdMapping.identity().is_identity
    assert ids("0:0:10", "20:20:1").is_identity
    assert not IdMapping.parse(["0:0:10"], ["0:1:10"]).is_identity


def test_what_containers_storage_writes():
    """The form of `uidmap` in its layers.json."""
    text = '[{"container_id":0,"host_id":1000,"size":1},{"container_id":1,"host_id":5,"size":9}]'
    ranges = decode_ranges(json.loads(text))
    assert ranges == ids("0:1000:1", "1:5:9").uids
    assert json.dumps(encode_ranges(ranges), separators=(",", ":")) == text


def test_what_the_runtime_spec_writes():
    """The example of config-linux.md, "User namespace mappings"."""
    text = '[{"containerID": 0, "hostID": 1000, "size": 32000}]'
    ranges = decode_ranges(json.loads(text))
    assert ranges == (IdRange.parse("0:1000:32000"),)
    assert json.dumps(encode_ranges(ranges, "runtime")) == text


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (None, "$.uidmap:"),
        ({}, "$.uidmap:"),
        ([3], "$.uidmap[0]"),
        ([{"container_id": 0, "host_id": 0}], "$.uidmap[0]"),
        ([{"container_id": 0, "hostID": 0, "size": 1}], "$.uidmap[0]"),
        ([{"container_id": 0, "host_id": 0, "size": True}], "$.uidmap[0]"),
        ([{"container_id": 0, "host_id": 0, "size": 1.0}], "$.uidmap[0]"),
        ([{"container_id": 0, "host_id": 0, "size": 0}], "$.uidmap[0]"),
        ([{"container_id": -1, "host_id": 0, "size": 1}], "$.uidmap[0]"),
    ],
)
def test_json_that_is_no_map(value, where):
    with pytest.raises(InvalidError) as caught:
        decode_ranges(value, where="$.uidmap")
    assert str(caught.value).startswith(where)


def test_an_image_is_shown_as_a_container():
    shown = translate(IdMapping.identity(), ids("0:100000:65536"))
    assert shown == ids("0:100000:65536")


def test_one_containers_files_are_shown_as_anothers():
    shown = translate(ids("0:1000:1", "1:100000:65535"), ids("0:500000:65536"))
    assert shown == ids("1000:500000:1", "100000:500001:65535")


def test_pieces_that_belong_together_are_one():
    split = ids(*(f"{number}:{number + 1000}:1" for number in range(MAX_RANGES)))
    assert translate(split, ids("0:0:65536")) == ids("1000:0:340")


def test_nothing_in_common():
    with pytest.raises(InvalidError, match="at least one range of uids"):
        translate(ids("0:0:1"), ids("1:1:1"))
