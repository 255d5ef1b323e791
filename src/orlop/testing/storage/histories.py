"""Random histories of layers, as tests of the contract; see `orlop.testing.storage.replay`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from orlop.testing.storage.base import StorageContractBase
from orlop.testing.storage.replay import replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from orlop.storage.mountable import StorageDriver
    from orlop.storage.storage import Storage


class HistoryContract(StorageContractBase):
    """Random histories.

    Attributes:
        seeds: Which ones.
        others: The drivers of other stores, in which all layers have to look the same.
    """

    seeds: ClassVar[range] = range(8)
    others: ClassVar[tuple[StorageDriver, ...]] = ("vfs",)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each seed."""
        if "seed" in metafunc.fixturenames:
            metafunc.parametrize("seed", self.seeds)

    def test_every_layer_shows_what_a_plain_directory_would(
        self, open_storage: Callable[..., Storage], place: Path, seed: int
    ) -> None:
        """At every step, and carried over to other drivers."""
        storage = open_storage()
        others = [open_storage(f"other-{driver}", driver) for driver in self.others]
        replay(storage, place, seed, others=others)
