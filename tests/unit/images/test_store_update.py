from dataclasses import replace

import pytest

from orlop.content import MemoryContent
from orlop.errors import InvalidError, LimitExceededError, NotFoundError
from orlop.filters import MAX_LABEL_SIZE
from orlop.images.record import ImageRecord
from orlop.images.store import ImageStore
from orlop.mediatype import OCI_INDEX, OCI_MANIFEST
from orlop.metadata import Database
from orlop.spec.descriptor import Descriptor

OLD_TARGET = Descriptor.of(OCI_MANIFEST, b"old", annotations={"hull": "oak", "deck": "pine"})
NEW_TARGET = Descriptor.of(OCI_INDEX, b"new one", annotations={"hull": "elm", "keel": "oak"})
OLD = ImageRecord(name="ship", target=OLD_TARGET, labels={"sail": "set", "mast": "one"})
NEW = ImageRecord(name="ship", target=NEW_TARGET, labels={"sail": "furled", "flag": "up"})
LATER = 2000


def annotated(target, **annotations):
    return replace(target, annotations=annotations)


@pytest.fixture
def store(tmp_path):
    with Database.open(tmp_path / "orlop.db") as database:
        times = iter([1000, LATER])
        yield ImageStore(database, MemoryContent(), now_ns=lambda: next(times))


@pytest.mark.parametrize(
    ("new", "paths", "labels", "target"),
    [
        pytest.param(NEW, [], NEW.labels, NEW_TARGET, id="everything"),
        pytest.param(OLD, [], OLD.labels, OLD_TARGET, id="touch"),
        pytest.param(replace(NEW, labels={}), [], {}, NEW_TARGET, id="labels left out"),
        pytest.param(NEW, ["labels"], NEW.labels, OLD_TARGET, id="all labels"),
        pytest.param(replace(NEW, labels={}), ["labels"], {}, OLD_TARGET, id="no labels"),
        pytest.param(
            NEW, ["labels.sail"], {"sail": "furled", "mast": "one"}, OLD_TARGET, id="one label"
        ),
        pytest.param(
            NEW, ["labels.flag"], {**OLD.labels, "flag": "up"}, OLD_TARGET, id="one more label"
        ),
        pytest.param(NEW, ["labels.mast"], {"sail": "set"}, OLD_TARGET, id="label deleted"),
        pytest.param(
            replace(NEW, labels={"sail": ""}), ["labels.sail"], {"mast": "one"}, OLD_TARGET,
            id="empty label deleted",
        ),
        pytest.param(
            replace(NEW, labels={"sail": "", "a": "1"}), ["labels"], {"a": "1"}, OLD_TARGET,
            id="empty label not kept",
        ),
        pytest.param(
            replace(NEW, labels={"a.b/c.d": "1", "a": "2"}), ["labels.a.b/c.d"],
            {**OLD.labels, "a.b/c.d": "1"}, OLD_TARGET, id="dotted label",
        ),
        pytest.param(NEW, ["target"], OLD.labels, NEW_TARGET, id="target with its annotations"),
        pytest.param(
            NEW, ["annotations"], OLD.labels, annotated(OLD_TARGET, hull="elm", keel="oak"),
            id="all annotations",
        ),
        pytest.param(
            NEW, ["annotations.hull"], OLD.labels, annotated(OLD_TARGET, hull="elm", deck="pine"),
            id="one annotation",
        ),
        pytest.param(
            NEW, ["annotations.deck"], OLD.labels, annotated(OLD_TARGET, hull="oak"),
            id="annotation deleted",
        ),
        pytest.param(
            replace(NEW, labels={"sail": ""}, target=annotated(NEW_TARGET, deck="")),
            ["annotations.deck", "labels.sail"], {"mast": "one"}, annotated(OLD_TARGET, hull="oak"),
            id="empty values",
        ),
        pytest.param(
            NEW, ["labels", "annotations"], NEW.labels,
            annotated(OLD_TARGET, hull="elm", keel="oak"), id="labels and annotations",
        ),
        pytest.param(
            NEW, ["labels.sail", "annotations.keel"], {"sail": "furled", "mast": "one"},
            annotated(OLD_TARGET, hull="oak", deck="pine", keel="oak"), id="one of each",
        ),
        pytest.param(NEW, ["target", "labels"], NEW.labels, NEW_TARGET, id="target and labels"),
        pytest.param(
            NEW, ["annotations", "target"], OLD.labels, NEW_TARGET, id="target after annotations"
        ),
    ],
)  # fmt: skip
def test_paths_say_what_is_updated(store, new, paths, labels, target):
    store.create(OLD)
    updated = store.update(new, *paths)
    assert updated.labels == labels
    assert updated.target == target
    assert (updated.name, updated.created_at_ns, updated.updated_at_ns) == ("ship", 1000, LATER)
    assert store.get("ship") == updated


@pytest.mark.parametrize(
    "path",
    [
        *("name", "createdat", "created_at_ns", "updatedat", "Labels", "target.size", "size"),
        *("", ".", "labels.", "annotations.", "target.", " labels", "metadata.labels.a"),
    ],
)
def test_other_paths_are_refused_and_nothing_is_updated(store, path):
    created = store.create(OLD)
    with pytest.raises(InvalidError, match="no field that can be updated"):
        store.update(NEW, "labels", path)
    assert store.get("ship") == created


def test_the_name_says_what_is_updated_and_does_not_change(store):
    created = store.create(OLD)
    with pytest.raises(NotFoundError):
        store.update(replace(NEW, name="wreck"))
    with pytest.raises(NotFoundError):
        store.update(replace(NEW, name="wreck"), "labels")
    assert store.get("ship") == created


@pytest.mark.parametrize(
    ("new", "paths", "problem"),
    [
        (replace(NEW, target=replace(NEW_TARGET, size=0)), [], InvalidError),
        (replace(NEW, target=replace(NEW_TARGET, size=0)), ["target"], InvalidError),
        (replace(NEW, target=replace(NEW_TARGET, media_type="")), ["target"], InvalidError),
        (replace(NEW, labels={"a": "x" * MAX_LABEL_SIZE}), ["labels.a"], LimitExceededError),
        (replace(NEW, labels={"": "x"}), ["labels"], InvalidError),
        (replace(NEW, name=""), [], InvalidError),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_updated(store, new, paths, problem):
    created = store.create(OLD)
    with pytest.raises(problem):
        store.update(new, *paths)
    assert store.get("ship") == created


def test_what_is_not_meant_is_not_judged(store):
    store.create(OLD)
    unfit = replace(NEW, target=replace(NEW_TARGET, size=0), labels={"sail": "up", "": "x"})
    assert store.update(unfit, "labels.sail").labels == {"sail": "up", "mast": "one"}


def test_the_old_target_does_not_delete_what_was_moved(store):
    store.create(OLD)
    store.update(NEW, "target")
    with pytest.raises(NotFoundError):
        store.delete("ship", target=OLD_TARGET)
    store.delete("ship", target=NEW_TARGET)
