"""ID mappings against the plain dictionaries that they stand for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.errors import InvalidError, NotFoundError
from orlop.idmap import MAX_ID, IdMapping, IdRange, decode_ranges, encode_ranges, translate


@st.composite
def sides(draw):
    """Ranges that do not overlap, over few ids so that two such lists meet often."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    gaps = st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes))
    containers = _starts(sizes, draw(gaps))
    order = draw(st.permutations(range(len(sizes))))
    shuffled = _starts([sizes[at] for at in order], draw(gaps))
    hosts = dict(zip(order, shuffled, strict=True))
    return tuple(
        IdRange(container=start, host=hosts[at], size=sizes[at])
        for at, start in enumerate(containers)
    )


def _starts(sizes, gaps):
    found, at = [], 0
    for size, gap in zip(sizes, gaps, strict=True):
        found.append(at + gap)
        at += gap + size
    return found


mappings = st.builds(IdMapping, uids=sides(), gids=sides())


def spelt_out(ranges):
    return {part.container + i: part.host + i for part in ranges for i in range(part.size)}


@settings(deadline=None)
@given(mappings, st.integers(0, 60), st.integers(0, 60))
def test_ids_are_looked_up(mapping, uid, gid):
    """An id is mapped as its range says, and only if it is in one."""
    uids, gids = spelt_out(mapping.uids), spelt_out(mapping.gids)
    if uid in uids and gid in gids:
        found = mapping.to_host(uid, gid)
        assert found == (uids[uid], gids[gid])
        assert mapping.to_container(*found) == (uid, gid)
    else:
        with pytest.raises(NotFoundError):
            mapping.to_host(uid, gid)


@settings(deadline=None)
@given(mappings, mappings)
def test_translation(stored, shown):
    """What is stored as one container's is shown as the other's, for ids that both have."""
    wanted = []
    for one, other in ((stored.uids, shown.uids), (stored.gids, shown.gids)):
        here, there = spelt_out(one), spelt_out(other)
        wanted.append({here[number]: there[number] for number in here.keys() & there.keys()})
    if not all(wanted):
        with pytest.raises(InvalidError):
            translate(stored, shown)
        return
    found = translate(stored, shown)
    assert [spelt_out(found.uids), spelt_out(found.gids)] == wanted


@settings(deadline=None)
@given(mappings)
def test_text_and_json_come_back(mapping):
    for dialect in ("storage", "runtime"):
        assert decode_ranges(encode_ranges(mapping.uids, dialect)) == mapping.uids
    assert IdMapping.parse(map(str, mapping.uids), map(str, mapping.gids)) == mapping


@settings(deadline=None)
@given(st.integers(-3, MAX_ID + 3), st.integers(-3, MAX_ID + 3), st.integers(-3, MAX_ID + 3))
def test_no_id_is_outside(container, host, size):
    """User and group ids are 32 bits, and the largest of them means none."""
    try:
        part = IdRange(container=container, host=host, size=size)
    except InvalidError:
        assert size < 1 or min(container, host) < 0 or max(container, host) + size > MAX_ID + 1
    else:
        assert part.size >= 1
        assert max(part.container, part.host) + part.size - 1 <= MAX_ID


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["container_id", "host_id", "size", "hostID", "containerID"]), inner
        )
    ),
)


@settings(deadline=None)
@given(json_values)
def test_any_json_is_ranges_or_invalid(value):
    try:
        found = decode_ranges(value)
    except InvalidError:
        return
    assert all(isinstance(part, IdRange) for part in found)
