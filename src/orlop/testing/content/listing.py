"""Lists of blobs and ingests: in order, chosen by filters, and while others change them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orlop.digest import Digest
from orlop.errors import InvalidFilterError
from orlop.testing.content.base import DIGEST, HELLO, ContractBase, put

if TYPE_CHECKING:
    from orlop.content import ContentStore


class ListingContract(ContractBase):
    """What every content store lists."""

    def test_walk(self, store: ContentStore) -> None:
        """Each blob comes once, in the order of the digests, as `stat` tells of it."""
        digests = [put(store, b"%d" % number) for number in range(79)]
        digests.append(put(store, b"another algorithm", "sha512"))
        infos = list(store.walk())
        assert [info.digest for info in infos] == sorted(digests) == list(store.iter_digests())
        assert infos == [store.stat(info.digest) for info in infos]

    def test_iter_digests_while_deleting(self, store: ContentStore) -> None:
        """Digests come in order, and deleting while iterating disturbs nobody."""
        expected = sorted(put(store, b"%d" % number) for number in range(20))
        seen = []
        for digest in store.iter_digests():
            seen.append(digest)
            store.delete(digest)
        assert seen == expected

    def test_walk_while_mutating(self, store: ContentStore) -> None:
        """What neither comes nor goes during a walk is met once, and in order."""
        digests = sorted(put(store, b"%d" % number) for number in range(40))
        leaving = set(digests[1::4]) | set(digests[2::4])
        seen = []
        for number, info in enumerate(store.walk()):
            seen.append(info.digest)
            put(store, b"new %d" % number)
            for digest in sorted(leaving)[number : number + 2]:
                store.delete(digest)
        assert seen == sorted(set(seen))
        assert set(digests) - leaving <= set(seen)

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ([], ["a", "bb", "ccc"]),
            ([""], ["a", "bb", "ccc"]),
            (["size>1"], ["bb", "ccc"]),
            (["size>=1B,size<3"], ["a", "bb"]),
            (["size==1", "size==3"], ["a", "ccc"]),
            ([f"digest=={Digest.of(b'bb')}"], ["bb"]),
            ([f"digest!={Digest.of(b'bb')}"], ["a", "ccc"]),
            ([f"digest=={Digest.of(b'bb')},size==1"], []),
            (["digest==nothing"], []),
            (["digest~=^sha256:", "digest==nothing"], ["a", "bb", "ccc"]),
            (["createdat>1d"], ["a", "bb", "ccc"]),
            (["createdat<1d"], []),
            (["updatedat<2000-01-01"], []),
            (["digest"], ["a", "bb", "ccc"]),
            (["labels"], []),
            (["labels.any"], []),
            (["labels.any!=x"], ["a", "bb", "ccc"]),
            (["nofield"], []),
        ],
    )
    def test_walk_with_filters(
        self, store: ContentStore, filters: list[str], expected: list[str]
    ) -> None:
        """A walk meets the blobs that any of the filters means."""
        digests = {put(store, text.encode()): text for text in ("a", "bb", "ccc")}
        found = [digests[info.digest] for info in store.walk(*filters)]
        assert sorted(found) == expected

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ([], ["a/1", "b"]),
            (["ref==b"], ["b"]),
            (["ref~=^a/"], ["a/1"]),
            (["offset>5"], ["b"]),
            (["size", "ref==b"], ["b"]),
            ([f"digest=={DIGEST}"], ["b"]),
            (["startedat>1h,updatedat>1h"], ["a/1", "b"]),
            (["labels.any"], []),
        ],
    )
    def test_statuses_with_filters(
        self, store: ContentStore, filters: list[str], expected: list[str]
    ) -> None:
        """Statuses are those of the ingests that any of the filters means."""
        with store.ingest("b", digest=DIGEST, size=50) as ingest:
            ingest.write(HELLO)
        with store.ingest("a/1") as ingest:
            ingest.write(b"a")
            assert [status.reference for status in store.statuses(*filters)] == expected

    def test_no_filter(self, store: ContentStore) -> None:
        """A text that is no filter is refused at once, whether there is something or not."""
        for use in (store.walk, store.statuses):
            with pytest.raises(InvalidFilterError, match="column 5"):
                use("size=1")
