"""The choice of free ids, against sets of numbers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from orlop.errors import NotFoundError
from orlop.idranges import IdSpan, allocate

spans = st.lists(
    st.builds(lambda first, size: IdSpan(first=first, size=size), st.integers(0, 40),
              st.integers(1, 8)),
    max_size=6,
)  # fmt: skip


def numbers(found):
    return {number for span in found for number in range(span.first, span.end)}


def longest_run(free):
    best = length = 0
    for number in range(60):
        length = length + 1 if number in free else 0
        best = max(best, length)
    return best


@settings(deadline=None)
@given(spans, spans, st.integers(1, 30))
def test_allocation(available, used, size):
    """Ids are available and not used, as many as asked, and in one piece if there is one."""
    free = numbers(available) - numbers(used)
    try:
        found = allocate(available, used, size)
    except NotFoundError:
        assert len(free) < size
        return
    assert sum(span.size for span in found) == len(numbers(found)) == size
    assert numbers(found) <= free
    assert list(found) == sorted(found)
    assert (len(found) == 1) == (longest_run(free) >= size)
    assert allocate(available[::-1], used[::-1], size) == found
