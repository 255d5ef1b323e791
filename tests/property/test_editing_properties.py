"""Random edits of random images, against a model that is a list of tars."""

import random
from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

import orlop
from orlop.editing.rebased import rebase_config
from orlop.platform import Platform
from orlop.spec import ContainerConfig, History, ImageConfig
from orlop.storage.chains import Stack
from orlop.tree import iter_differences
from support.images import ImageBuilder, tar
from support.random_images import RandomImage

MOMENT = 1_700_000_000
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 7)),
        st.tuples(st.just("config"), st.sampled_from(["A", "B"])),
        st.tuples(st.just("squash"), st.integers(1, 4)),
        st.tuples(st.just("flatten"), st.just(0)),
    ),
    max_size=5,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = tmp_path_factory.mktemp("editing")
    with orlop.open_store(place / "root", place / "run", driver="erofs") as store:
        store.place = place
        yield store


@dataclass
class Model:
    """What a draft should be: the layers that were put on each other, and how many are left."""

    tars: list
    layers: int
    env: dict = field(default_factory=dict)

    def apply(self, draft, edit, more):
        kind, value = edit
        if kind == "append":
            data = more[value % len(more)]
            self.tars.append(data)
            self.layers += 1
            return draft.append(data)
        if kind == "config":
            self.env[value] = str(len(self.env))
            return draft.with_config(env={value: self.env[value]})
        if kind == "squash":
            count = min(value, self.layers)
            self.layers -= count - 1
            return draft.squash(count)
        self.layers = 1
        return draft.flatten()


def pulled(store, seed):
    """A random image under a name of its own, and its layers."""
    layers = [tar(*layer) for layer in RandomImage(seed).layers]
    source = ImageBuilder("none", tars=layers).write(store.place / f"{seed}").source
    return store.pull(source, tag=f"made:{seed}", driver="directory"), layers


def tree(store, image):
    return store.storage.chains.tree(Stack.of(image.config.diff_ids))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 500), edits=EDITS)
def test_edits_keep_history_layers_and_files_together(store, seed, edits):
    """ "Entries that are not `empty_layer` are layers": whatever was done, there is one for each.

    And what is seen is what the layers make that were put on each other, however many they are now.
    """
    image, layers = pulled(store, seed)
    more = [tar(*layer) for layer in RandomImage(seed + 1).layers[:1]]
    model, draft = Model(list(layers), len(layers)), image.edit(timestamp=MOMENT)
    for edit in edits:
        draft = model.apply(draft, edit, more)
    made = draft.save("edited:1")
    config = made.config
    assert len(config.diff_ids) == len(made.manifest.layers) == model.layers
    if edits:
        assert sum(not step.empty_layer for step in config.history) == model.layers
    assert dict(each.split("=") for each in (config.config or ContainerConfig()).env) == model.env
    plain = image.edit()
    for each in model.tars[len(layers) :]:
        plain = plain.append(each)
    whole = plain.save("whole:1")
    found = list(iter_differences(tree(store, whole), tree(store, made)))
    assert found == []
    assert store.diff("whole:1", "edited:1").changes() == ()
    assert draft.manifest.raw == made.manifest.raw
    # It can be brought into any other store.
    assert ImageConfig.decode(config.raw).diff_ids == config.diff_ids


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 500))
def test_a_squashed_layer_is_minimal(store, seed):
    """Nothing is in it twice, and no whiteout of what is not there; merging it again is nothing."""
    image, layers = pulled(store, seed)
    count = random.Random(seed).randint(1, len(layers))
    made = image.squash(count).save("squashed:1")
    below = store.storage.chains.tree(Stack.of(made.config.diff_ids[:-1]))
    changeset = store.storage.forms.changeset(made.config.diff_ids[-1])
    removals = [each.path for each in changeset.removals()]
    additions = [each.path for each in changeset.additions()]
    assert len(set(removals)) == len(removals)
    assert len(set(additions)) == len(additions)
    for path in removals:
        node = below
        for name in path.split(b"/"):
            node = node.children[name]
    again = made.squash(1).save("squashed:2")
    assert again.config.diff_ids == made.config.diff_ids


NAMES = st.sampled_from("abc")
TEXTS = st.dictionaries(NAMES, st.sampled_from("12"), max_size=3)


@st.composite
def configs(draw):
    return ImageConfig(
        platform=Platform(os="linux", architecture="amd64"),
        config=ContainerConfig(
            user=draw(st.sampled_from(["", "1", "2"])),
            env=tuple(f"{name}={value}" for name, value in draw(TEXTS).items()),
            cmd=tuple(draw(st.lists(NAMES, max_size=2))),
            labels=draw(TEXTS),
            volumes=tuple(f"/{name}" for name in draw(st.sets(NAMES))),
            extra=draw(TEXTS),
        ),
        history=(History(created_by="x"),),
    )


@given(configs(), configs(), configs())
def test_what_is_its_own_outlives_a_rebase(mine, old, new):
    """A value that the old base had not is there afterwards; one that it had is the new base's."""
    found = rebase_config(mine, old, new)
    for name in ("labels", "extra"):
        ours, theirs, then, now = (getattr(each.config, name) for each in (mine, old, new, found))
        for key, value in ours.items():
            own = key not in theirs or theirs[key] != value
            assert now.get(key) == (value if own else then.get(key))
        for key in theirs.keys() - ours.keys():
            assert key not in now  # It had been taken away.
        assert now.keys() <= ours.keys() | then.keys()


@given(configs(), configs())
def test_a_rebase_onto_the_same_base_changes_nothing(mine, old):
    found = rebase_config(mine, old, old).config
    assert (found.user, found.cmd, found.labels) == (
        mine.config.user, mine.config.cmd, mine.config.labels,
    )  # fmt: skip
    assert set(found.env) == set(mine.config.env)
    assert set(found.volumes) == set(mine.config.volumes)


@given(configs(), configs())
def test_an_image_that_is_its_base_becomes_the_new_one(old, new):
    assert rebase_config(old, old, new).config == new.config
