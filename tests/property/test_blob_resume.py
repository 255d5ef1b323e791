import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.registry import RegistryClient, RegistryOptions
from orlop.testing import faults
from orlop.testing.registry import FaultyRegistry

BLOB = bytes(range(256)) * 600
CUTS = st.lists(st.tuples(st.integers(0, len(BLOB)), st.booleans(), st.booleans()), max_size=5)


@pytest.fixture(scope="module")
def registry():
    with FaultyRegistry() as registry:
        yield registry


def broken(size, in_chunks, without_ranges):
    """An answer that breaks after `size` bytes."""

    def change(reply):
        if without_ranges:
            reply = faults.Reply.of(200, {}, BLOB)
        reply = faults.close_after(size)(reply)
        return faults.chunked(reply) if in_chunks else reply

    return change


@settings(max_examples=40, deadline=None)
@given(cuts=CUTS, offset=st.integers(0, len(BLOB)), size=st.integers(1000, len(BLOB)))
def test_a_download_is_exact_wherever_it_breaks(registry, cuts, offset, size):
    """A client that has received a partial representation can request the rest (RFC 9110, 14)."""
    layer = registry.put_blob("app", BLOB)
    for cut in cuts:
        registry.fail("blob", broken(*cut), times=1)
    options = RegistryOptions(retries=len(cuts), sleep=lambda _: None)
    with (
        RegistryClient(options) as client,
        client.open_blob(registry.reference("app"), layer, offset) as stream,
    ):
        data = b"".join(iter(lambda: stream.read(size), b""))
        assert data == BLOB[stream.offset :]
        assert stream.offset in {0, offset}
    registry.heal()
