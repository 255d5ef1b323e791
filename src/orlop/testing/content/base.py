"""What the parts of the contract share: content to store, fixtures, and spans of time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, final

import pytest

from orlop.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.content import ContentStore

HELLO = b"hello, hold"
DIGEST = Digest.of(HELLO)
UNKNOWN = Digest("blake3:" + "0" * 64)
"""A digest that nobody here can compute."""


def put(store: ContentStore, data: bytes, algorithm: str = "sha256") -> Digest:
    """Store `data` by an ingest of its own."""
    digest = Digest.of(data, algorithm)
    with store.ingest(f"put {digest}", digest=digest, size=len(data)) as ingest:
        ingest.write(data)
        return ingest.commit()


def assert_empty(store: ContentStore) -> None:
    """There is neither a blob nor an ingest."""
    assert list(store.iter_digests()) == []
    assert list(store.walk()) == []
    assert list(store.statuses()) == []


@final
class Window:
    """A span of time that began when this was made, and ends when it is asked.

    Args:
        tolerance_ns: How far other clocks may be from this one.
    """

    def __init__(self, tolerance_ns: int) -> None:
        self._tolerance_ns = tolerance_ns
        self._start_ns = time.time_ns()

    def __contains__(self, moment_ns: int) -> bool:
        start, end = self._start_ns, time.time_ns()
        return start - self._tolerance_ns <= moment_ns <= end + self._tolerance_ns


class ContractBase:
    """The fixtures that a subclass provides."""

    clock_tolerance_ns: ClassVar[int] = 50_000_000
    """Kernels stamp files by a clock that stands still for some milliseconds."""

    @pytest.fixture
    def store(self) -> ContentStore:
        """An empty store."""
        pytest.fail("a subclass provides this fixture")

    @pytest.fixture
    def reopen(self, store: ContentStore) -> Callable[[], ContentStore]:
        """Opens the same store anew; hands out the same object where that means nothing."""
        return lambda: store

    @pytest.fixture
    def damage(self) -> Callable[[Digest, bytes], None]:
        """Puts other bytes in the place of a stored blob's."""
        pytest.skip("there is no way to damage what this store keeps")

    def window(self) -> Window:
        """A span of time that begins now."""
        return Window(self.clock_tolerance_ns)
