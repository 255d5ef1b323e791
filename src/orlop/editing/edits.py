"""The edits that a draft is a list of: each makes of one state of an image the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from orlop.editing.bench import EditedLayer, State
from orlop.editing.history import Step, above, emptied
from orlop.editing.rebased import rebase_config
from orlop.editing.snapshot import Snapshot, require_below
from orlop.editing.sources import DirectorySource, TarSource
from orlop.errors import InvalidError, UnsupportedError
from orlop.mediatype import is_docker
from orlop.spec.history import complete

if TYPE_CHECKING:
    from orlop.editing.bench import Bench
    from orlop.editing.config import ConfigEdit
    from orlop.spec.manifest import Manifest

BASE_NAME: Final = "org.opencontainers.image.base.name"
BASE_DIGEST: Final = "org.opencontainers.image.base.digest"


class Edit(Protocol):
    """One edit of an image."""

    def apply(self, bench: Bench, state: State) -> State:
        """What becomes of a state.

        Raises:
            OrlopError: It cannot be done to this image.
            OSError: Something could not be read or written.
        """


@dataclass(frozen=True, slots=True)
class Append:
    """One more layer, on top.

    Attributes:
        source: What it is made of.
        step: What the history says of it.
    """

    source: TarSource | DirectorySource
    step: Step

    def apply(self, bench: Bench, state: State) -> State:
        """See `Edit.apply`."""
        if isinstance(self.source, TarSource):
            taken = bench.take_tar(self.source)
        else:
            taken = bench.take_directory(self.source, state.layers)
        layer = EditedLayer(taken.diff_id, taken=taken)
        if isinstance(self.source, TarSource):
            bench.require_fit(state.layers, layer)
        history = complete(state.config.history, len(state.layers))
        config = replace(
            state.config,
            created=self.step.created or bench.moment,
            history=(*history, self.step.entry(bench.moment)),
        )
        return replace(state, config=config, layers=(*state.layers, layer))


@dataclass(frozen=True, slots=True)
class Configure:
    """Another config.

    Attributes:
        edit: What is to be another.
        step: What the history says of it; nothing where None.
    """

    edit: ConfigEdit
    step: Step | None

    def apply(self, bench: Bench, state: State) -> State:
        """See `Edit.apply`."""
        old = state.config
        if self.step is not None:
            history = complete(old.history, len(state.layers))
            entry = self.step.entry(bench.moment, empty_layer=True)
            old = replace(old, history=(*history, entry), created=bench.moment)
        manifest = state.manifest
        annotations = self.edit.annotated(manifest.annotations)
        if annotations != dict(manifest.annotations):
            if annotations:
                require_annotations(manifest)
            manifest = replace(manifest, annotations=annotations)
        return replace(state, manifest=manifest, config=self.edit.config(old))


@dataclass(frozen=True, slots=True)
class Squash:
    """The uppermost layers merged into one.

    Attributes:
        count: How many; all of them where None.
        since: The image above whose layers all are meant, instead.
        step: What the history says of it.
    """

    count: int | None
    since: Snapshot | None
    step: Step

    def apply(self, bench: Bench, state: State) -> State:
        """See `Edit.apply`."""
        kept = len(state.layers) - self._count(state)
        below, merged = state.layers[:kept], state.layers[kept:]
        taken = bench.merge(below, merged)
        history = emptied(complete(state.config.history, len(state.layers)), kept)
        config = replace(
            state.config,
            created=self.step.created or bench.moment,
            history=(*history, self.step.entry(bench.moment)),
        )
        return replace(
            state, config=config, layers=(*below, EditedLayer(taken.diff_id, taken=taken))
        )

    def _count(self, state: State) -> int:
        there = len(state.layers)
        if self.since is not None:
            diff_ids = tuple(each.diff_id for each in state.layers)
            require_below("the image", diff_ids, self.since)
            found = there - len(self.since.config.diff_ids)
            if not found:
                raise InvalidError(f"there is no layer above those of {self.since.name}")
            return found
        found = there if self.count is None else self.count
        if not found:
            raise InvalidError("the image has no layers to merge")
        if found > there:
            raise InvalidError(
                f"{found} layers cannot be merged: the image has {there}",
                hint=f"say a number from 1 to {there}",
            )
        return found


@dataclass(frozen=True, slots=True)
class Rebase:
    """The lowest layers exchanged for those of another image.

    Attributes:
        old: The image that it stands on.
        new: The image that it is to stand on.
    """

    old: Snapshot
    new: Snapshot

    def apply(self, bench: Bench, state: State) -> State:
        """See `Edit.apply`."""
        old, new = self.old, self.new
        diff_ids = tuple(each.diff_id for each in state.layers)
        require_below("the image", diff_ids, old)
        bench.claim(new)
        own = state.layers[len(old.config.diff_ids) :]
        layers = kept_layers(new)
        for layer in own:
            bench.require_fit(layers, layer)
            layers = (*layers, layer)
        manifest = state.manifest
        if not is_docker(manifest.media_type):
            notes = {**manifest.annotations, BASE_DIGEST: str(new.target.digest)}
            manifest = replace(manifest, annotations={**notes, BASE_NAME: new.name})
        config = rebase_config(state.config, old.config, new.config)
        ours = complete(state.config.history, len(state.layers))
        more = above(ours, old.config.history, len(old.config.diff_ids))
        history = (*complete(new.config.history, len(new.config.diff_ids)), *more)
        if not (state.config.history or new.config.history):
            history = ()
        config = replace(config, history=history, created=bench.moment)
        return replace(state, manifest=manifest, config=config, layers=layers)


def kept_layers(image: Snapshot) -> tuple[EditedLayer, ...]:
    """The layers of an image, as a state has them."""
    pairs = zip(image.config.diff_ids, image.manifest.layers, strict=True)
    return tuple(EditedLayer(diff_id, blob=blob) for diff_id, blob in pairs)


def require_annotations(manifest: Manifest) -> None:
    """Succeed if a manifest can have annotations.

    Raises:
        UnsupportedError: It is one of Docker's.
    """
    if is_docker(manifest.media_type):
        raise UnsupportedError(
            "the image has a manifest of Docker's, which has no annotations",
            hint="turn its media types into OCI's, which changes its digest",
        )
