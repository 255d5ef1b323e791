"""Blobs: what is stored is there, and is what its digest says, or is not handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orlop.digest import Digest
from orlop.errors import (
    DigestMismatchError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
    UnsupportedError,
)
from orlop.testing.content.base import DIGEST, HELLO, UNKNOWN, ContractBase, assert_empty, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.content import ContentStore


class BlobContract(ContractBase):
    """What every content store does with blobs."""

    @pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
    @pytest.mark.parametrize("data", [b"", b"x", HELLO * 300_000], ids=["empty", "one", "large"])
    def test_what_goes_in_comes_out(
        self,
        store: ContentStore,
        reopen: Callable[[], ContentStore],
        data: bytes,
        algorithm: str,
    ) -> None:
        """A blob of any length and algorithm is read as it was written."""
        window = self.window()
        digest = put(store, data, algorithm)
        assert digest == Digest.of(data, algorithm)
        for each in (store, reopen()):
            info = each.stat(digest)
            assert info is not None
            assert (info.digest, info.size) == (digest, len(data))
            assert info.created_ns in window
            assert info.updated_ns == info.created_ns
            assert info.labels == {}
            assert each.read(digest, len(data)) == data
            assert list(each.iter_digests()) == [digest]

    def test_missing(self, store: ContentStore) -> None:
        """What is not stored has no info and cannot be opened."""
        assert store.stat(DIGEST) is None
        assert store.stat(UNKNOWN) is None
        for use in (store.open, store.reader_at, lambda digest: store.read(digest, 5)):
            with pytest.raises(NotFoundError, match=DIGEST):
                use(DIGEST)
            with pytest.raises((NotFoundError, UnsupportedError)):
                use(UNKNOWN)
        assert store.delete(DIGEST) is False

    def test_size_is_demanded(self, store: ContentStore) -> None:
        """A blob of another length than its descriptor says is not handed out."""
        digest = put(store, HELLO)
        for use in (store.open, store.read, store.reader_at):
            for size in (0, len(HELLO) - 1, len(HELLO) + 1):
                with pytest.raises(SizeMismatchError) as caught:
                    use(digest, size)
                assert (caught.value.expected, caught.value.actual) == (size, len(HELLO))

    def test_read_is_bounded(self, store: ContentStore) -> None:
        """`read` takes no more into memory than its limit."""
        digest = put(store, HELLO)
        with pytest.raises(LimitExceededError) as caught:
            store.read(digest, len(HELLO), limit=len(HELLO) - 1)
        assert caught.value.value == len(HELLO) - 1
        assert store.read(digest, len(HELLO), limit=len(HELLO)) == HELLO

    def test_delete(self, store: ContentStore) -> None:
        """A deleted blob is gone, and can be stored again."""
        digest = put(store, HELLO)
        assert store.delete(digest) is True
        assert store.stat(digest) is None
        assert_empty(store)
        assert store.delete(digest) is False
        store.empty_trash()
        assert store.read(put(store, HELLO), len(HELLO)) == HELLO

    @pytest.mark.parametrize(
        "other", [b"jello, hold", HELLO[:-1] + b"?", HELLO[:-1], HELLO + b"!", b""]
    )
    def test_damage_is_noticed(
        self, store: ContentStore, damage: Callable[[Digest, bytes], None], other: bytes
    ) -> None:
        """What is stored and is not what its digest says is not handed out whole."""
        digest = put(store, HELLO)
        damage(digest, other)
        with pytest.raises((DigestMismatchError, SizeMismatchError)):
            store.read(digest, len(HELLO))
        with pytest.raises((DigestMismatchError, SizeMismatchError)):
            _read_slowly(store, digest)
        with (
            store.reader_at(digest) as reader,
            pytest.raises((DigestMismatchError, SizeMismatchError)),
        ):
            reader.verify()

    def test_damage_is_repaired(
        self, store: ContentStore, damage: Callable[[Digest, bytes], None]
    ) -> None:
        """Storing what is stored means that it is there, whatever was there before."""
        digest = put(store, HELLO)
        damage(digest, b"jello, hold")
        put(store, HELLO)
        assert store.read(digest, len(HELLO)) == HELLO


def _read_slowly(store: ContentStore, digest: Digest) -> None:
    with store.open(digest) as reader:
        while reader.read(3):
            pass
