"""`orlop content`: blobs and ingests, for whoever wants to see or keep one of them."""

import json

import pytest

from orlop.content import LocalContent
from orlop.digest import Digest

MISSING = Digest.of(b"missing")


@pytest.fixture
def store(empty, layout):
    empty.pull(layout.source, "--tag", "box")
    return empty


def lines(store, *arguments):
    done = store.orlop("content", *arguments)
    assert done.code == 0, done
    return done.out.splitlines()


def document(store, *arguments):
    return json.loads("\n".join(lines(store, *arguments, "--format", "json")))


def manifest(store):
    done = store.orlop("inspect", "box", "--raw")
    return Digest.of(done.out.encode()), done.out


def begin(store, reference, data=b"half of it", size=None):
    with LocalContent(store.root).ingest(reference, size=size) as ingest:
        ingest.write(data)


def test_blobs_are_listed(store):
    blobs = document(store, "ls")
    assert len(blobs) == 4
    assert [blob["digest"] for blob in blobs] == lines(store, "ls", "-q")
    heading, *rows = lines(store, "ls")
    assert heading.split() == ["DIGEST", "SIZE", "STORED", "LABELS"]
    assert [row.split()[0] for row in rows] == [blob["digest"] for blob in blobs]
    largest = max(blobs, key=lambda blob: blob["size"])
    assert lines(store, "ls", "-q", "--filter", f"size>={largest['size']}") == [largest["digest"]]
    assert lines(store, "ls", "-q", "--filter", "createdat<1h") == []


def test_a_blob_comes_out_as_it_went_in(store):
    digest, text = manifest(store)
    assert store.orlop("content", "get", digest).out == text


def test_a_damaged_blob_fails(store):
    digest, text = manifest(store)
    path = LocalContent(store.root).path_of(digest)
    damaged = text.replace("schemaVersion", "schemaversion")
    with open(path, "r+b") as file:
        file.write(damaged.encode())
    done = store.orlop("content", "get", digest)
    assert done.code == 4
    assert done.out != damaged
    assert "expected" in done.err


def test_labels_are_set_listed_and_taken_away(store):
    digest, _ = manifest(store)
    assert lines(store, "label", digest) == []
    assert lines(store, "label", digest, "team=sea", "odd=a\x1bb") == []
    assert lines(store, "label", digest) == ["odd=a\\x1bb", "team=sea"]
    assert lines(store, "ls", "-q", "--filter", "labels.team==sea") == [digest]
    (listed,) = document(store, "ls", "--filter", "labels.team")
    assert listed["labels"] == {"odd": "a\x1bb", "team": "sea"}
    assert document(store, "label", digest, "team=", "more=1") == {"more": "1", "odd": "a\x1bb"}


def test_a_label_keeps_a_blob(store):
    digest, text = manifest(store)
    lines(store, "label", digest, "containerd.io/gc.root=yes")
    store.orlop("rm", "box")
    store.collect()
    assert store.orlop("content", "get", digest).out == text
    lines(store, "label", digest, "containerd.io/gc.root=")
    store.collect()
    assert lines(store, "ls", "-q") == []


def test_ingests_are_listed_and_dropped(store):
    begin(store, "one", size=2048)
    begin(store, "odd\x1b")
    (odd, one) = document(store, "ingests")
    assert (one["reference"], one["offset"], one["size"]) == ("one", 10, 2048)
    assert (odd["reference"], odd["size"], odd["digest"]) == ("odd\x1b", None, None)
    heading, *rows = lines(store, "ingests")
    assert heading.split() == ["REFERENCE", "ARRIVED", "OF", "STARTED", "UPDATED"]
    assert rows[1].split()[:5] == ["one", "10", "B", "2.0", "KiB"]
    assert lines(store, "ingests", "-q") == ["odd\\x1b", "one"]
    assert lines(store, "ingests", "-q", "--filter", "size>1KiB") == ["one"]
    assert lines(store, "abort", "one", "odd\x1b") == []
    assert lines(store, "ingests", "-q") == []


def test_what_is_being_written_is_not_dropped(store):
    begin(store, "resting")
    with LocalContent(store.root).ingest("busy") as ingest:
        ingest.write(b"half")
        store.orlop("content", "abort", "busy", "resting").check_failure(5, "'busy'")
    assert lines(store, "ingests", "-q") == ["busy"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["get", MISSING], 3, "is not stored"),
        (["get", "sha256:short"], 2, "sha256"),
        (["label", MISSING], 3, "is not stored"),
        (["label", MISSING, "k=v"], 3, "is not stored"),
        (["label", MISSING, "k"], 2, "is no label"),
        (["abort", "nothing"], 3, "no ingest"),
        (["ls", "--filter", "size=1"], 2, "column"),
        (["ls", "--filter", "offset>1"], 2, "no field 'offset'"),
        (["ingests", "--filter", "size=1"], 2, "column"),
        (["ingests", "--filter", "refs==x"], 2, "no field 'refs'"),
    ],
)
def test_mistakes(store, arguments, code, says):
    store.orlop("content", *arguments).check_failure(code, says)


def test_without_a_store_there_is_nothing(empty):
    assert lines(empty, "ls", "-q") == lines(empty, "ingests", "-q") == []
    empty.orlop("content", "ls", "--filter", "size=1").check_failure(2, "column")
    empty.orlop("content", "get", MISSING).check_failure(3)
    empty.orlop("content", "abort", "r").check_failure(3)
    assert not empty.root.exists()
