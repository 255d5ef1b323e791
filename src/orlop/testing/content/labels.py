"""Labels: what a store that keeps them does, beside what every content store does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orlop.digest import Digest
from orlop.errors import InvalidError, LimitExceededError, NotFoundError
from orlop.filters import MAX_LABEL_SIZE
from orlop.testing.content.base import DIGEST, HELLO, ContractBase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orlop.content import Info, LabelledContent

_OLD = {"k1": "v1", "k2": "v2", "a.b/c": "dots"}


def _put(store: LabelledContent, data: bytes, labels: Mapping[str, str] | None = None) -> Info:
    with store.ingest("put") as ingest:
        ingest.write(data)
        digest = ingest.commit(labels=labels)
    info = store.stat(digest)
    assert info is not None
    return info


class LabelledContentContract(ContractBase):
    """What every labelled content store does; in addition to `ContentStoreContract`."""

    def test_labels_come_with_the_content(
        self, store: LabelledContent, reopen: Callable[[], LabelledContent]
    ) -> None:
        """Labels are there as soon as the content is, and are part of what is known of it."""
        info = _put(store, HELLO, _OLD)
        assert info.labels == _OLD
        assert info.created_ns == info.updated_ns
        assert list(store.walk()) == list(reopen().walk()) == [info]

    def test_labels_by_publish(self, store: LabelledContent) -> None:
        """Sealed content can be labelled by what was learned of it, when it is published."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            digest = ingest.seal()
            ingest.publish({"learned": digest})
        info = store.stat(DIGEST)
        assert info is not None
        assert info.labels == {"learned": DIGEST}

    def test_content_that_is_stored_keeps_its_labels(self, store: LabelledContent) -> None:
        """Storing what is stored adds labels, and takes away those that are said to be empty."""
        before = _put(store, HELLO, _OLD)
        assert _put(store, HELLO) == before
        after = _put(store, HELLO, {"k1": "new", "k2": "", "k3": "v3"})
        assert after.labels == {"k1": "new", "k3": "v3", "a.b/c": "dots"}
        assert after.created_ns == before.created_ns

    @pytest.mark.parametrize(
        ("labels", "fieldpaths", "expected"),
        [
            ({"k1": "new", "k3": "v3"}, (), {"k1": "new", "k3": "v3"}),
            ({"k1": "new", "k3": "v3"}, ("labels",), {"k1": "new", "k3": "v3"}),
            ({"k1": "new", "k3": "v3"}, ("labels.k1",), {**_OLD, "k1": "new"}),
            ({"k1": "new"}, ("labels.k2", "labels.k1"), {"k1": "new", "a.b/c": "dots"}),
            ({"k2": ""}, ("labels.k2",), {"k1": "v1", "a.b/c": "dots"}),
            ({"a.b/c": "more"}, ("labels.a.b/c",), {**_OLD, "a.b/c": "more"}),
            ({"k1": "new"}, ("labels.k9",), _OLD),
            ({"k1": "new"}, ("labels", "labels.k2"), {"k1": "new"}),
            ({"k1": ""}, (), {}),
            ({}, (), {}),
        ],
    )
    def test_update(
        self,
        store: LabelledContent,
        labels: dict[str, str],
        fieldpaths: tuple[str, ...],
        expected: dict[str, str],
    ) -> None:
        """An update is about what its field paths name, and moves the time of the update."""
        before = _put(store, HELLO, _OLD)
        window = self.window()
        after = store.update(DIGEST, labels, *fieldpaths)
        assert after == store.stat(DIGEST)
        assert after.labels == expected
        assert (after.digest, after.size) == (before.digest, before.size)
        assert after.created_ns == before.created_ns
        assert after.updated_ns in window

    @pytest.mark.parametrize(
        "fieldpath", ["digest", "size", "labels.", "", "label", "createdat", "labelsx", ".labels"]
    )
    def test_nothing_else_can_be_updated(self, store: LabelledContent, fieldpath: str) -> None:
        """Only labels change; and nothing does where one of the paths is another."""
        before = _put(store, HELLO, _OLD)
        with pytest.raises(InvalidError):
            store.update(DIGEST, {"k1": "new"}, "labels", fieldpath)
        assert store.stat(DIGEST) == before

    def test_update_of_what_is_missing(self, store: LabelledContent) -> None:
        """There are no labels without content."""
        with pytest.raises(NotFoundError, match=DIGEST):
            store.update(DIGEST, {"k": "v"})

    @pytest.mark.parametrize(
        ("labels", "failure"),
        [
            ({"": "value"}, InvalidError),
            ({"k": "\udc80"}, InvalidError),
            ({"k": "x" * MAX_LABEL_SIZE}, LimitExceededError),
        ],
        ids=["no-key", "no-text", "too-long"],
    )
    def test_no_labels(
        self, store: LabelledContent, labels: dict[str, str], failure: type[Exception]
    ) -> None:
        """What is no label is refused before anything has changed; an ingest goes on."""
        with store.ingest("r") as ingest:
            ingest.write(HELLO)
            with pytest.raises(failure):
                ingest.commit(labels={"good": "one", **labels})
            ingest.seal()
            with pytest.raises(failure):
                ingest.publish({"good": "one", **labels})
            assert store.stat(DIGEST) is None
            ingest.commit(labels={"k": "x" * (MAX_LABEL_SIZE - 1)})
        before = store.stat(DIGEST)
        with pytest.raises(failure):
            store.update(DIGEST, {"good": "one", **labels})
        assert store.stat(DIGEST) == before

    def test_labels_go_with_the_content(self, store: LabelledContent) -> None:
        """Content that is deleted and stored again has none of its old labels."""
        _put(store, HELLO, _OLD)
        store.delete(DIGEST)
        assert _put(store, HELLO).labels == {}

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            (["labels.kind==a"], "a"),
            (["labels.kind"], "ab"),
            (["labels.kind!=a"], "bc"),
            (["labels.kind~=^[ab]$"], "ab"),
            (['labels."example.org/of"==b'], "b"),
            (["labels.kind==a", 'labels."example.org/of"'], "ab"),
            (["labels.kind==a,labels.kind==b"], ""),
            (["labels.kind==a", "size>0"], "abc"),
            (['labels.kind==""'], ""),
            (["labels.kind==a,size>100"], ""),
            (["labels.count>2"], "c"),
        ],
    )
    def test_walk_by_labels(
        self, store: LabelledContent, filters: list[str], expected: str
    ) -> None:
        """Labels choose what a walk meets."""
        _put(store, b"a", {"kind": "a"})
        _put(store, b"b", {"kind": "b", "example.org/of": "b"})
        _put(store, b"c", {"count": "10"})
        names = {Digest.of(name.encode()): name for name in "abc"}
        found = [names[info.digest] for info in store.walk(*filters)]
        assert "".join(sorted(found)) == expected
