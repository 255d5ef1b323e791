"""Images of a store, as bundlers need them: found by name, or fetched first."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias, get_args

from orlop.errors import InvalidError, NotFoundError, TransportError
from orlop.metadata import Lease
from orlop.platform import Platform
from orlop.spec.config import ImageConfig
from orlop.storage.lookup import find_image

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.metadata import ImageRow
    from orlop.storage.storage import Storage
    from orlop.transfer import ProgressCallback, SourceOptions

PullPolicy: TypeAlias = Literal["missing", "always", "never"]
"""When an image is fetched: where it is not here, each time, or never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRules:
    """When and how images are fetched.

    Attributes:
        policy: When.
        platform: Which image of several; this machine's where None.
        source: How registries are reached; anonymously and by HTTPS where None.
        progress: Called with each step.

    Raises:
        InvalidError: The policy is none.
    """

    policy: PullPolicy = "missing"
    platform: str | None = None
    source: SourceOptions | None = field(default=None)
    progress: ProgressCallback | None = None

    def __post_init__(self) -> None:
        if self.policy not in get_args(PullPolicy):
            raise InvalidError(
                f"{str(self.policy)[:40]!r} is no policy", hint="missing, always or never"
            )


class StoreImage:
    """An image of a store.

    Args:
        storage: The store.
        row: Its record.
    """

    def __init__(self, storage: Storage, row: ImageRow) -> None:
        self.storage = storage
        self.row = row

    @property
    def digest(self) -> Digest:
        """The digest of its manifest."""
        return self.row.manifest_digest or self.row.target_digest

    @property
    def id(self) -> str:
        """The digest of its config."""
        return str(self.row.image_id)

    @cached_property
    def config(self) -> ImageConfig:
        """How to run it, and which layers it has.

        Raises:
            NotFoundError: It is missing from the store.
        """
        content = self.storage.content
        info = content.stat(self.row.image_id)
        if info is None:
            raise NotFoundError(
                f"the config of {self.row.name} is not stored", hint="pull the image again"
            )
        return ImageConfig.decode(content.read(info.digest, info.size))

    def open_layer(self, number: int) -> BinaryIO:
        """The tar of a layer, the base 0.

        Raises:
            NotFoundError: It is not there in this form.
        """
        diff_id = self.config.diff_ids[number]
        if self.storage.forms.usable(diff_id, "tar") is None:
            raise NotFoundError(f"layer {diff_id} is not kept as a tar")
        return open(self.storage.forms.path(diff_id, "tar"), "rb")


def obtain_image(storage: Storage, reference: str, rules: PullRules) -> StoreImage:
    """The image that a name or ID means, fetched as the rules have it.

    Raises:
        NotFoundError: There is none, and it may not be fetched.
        OrlopError: It could not be fetched, as `Store.pull` says.
    """
    from orlop.transfer import choose_stored

    other: NotFoundError | None = None  # It is here, and for other platforms.
    if rules.policy != "always":
        row = None
        try:
            with storage.database.read() as tx:
                row = find_image(tx, reference)[0]
            return StoreImage(storage, choose_stored(storage, row, rules.platform))
        except NotFoundError as error:
            if rules.policy == "never":
                raise
            other = error.with_traceback(None) if row is not None else None
    try:
        return _pull(storage, reference, rules)
    except TransportError as error:
        if other is not None:
            raise other from error
        raise error.inside(f"{reference} is to be pulled")


def _pull(storage: Storage, reference: str, rules: PullRules) -> StoreImage:
    from dataclasses import replace

    from orlop.transfer import Pull, PullOptions, Reporter, SourceOptions, open_image, select

    options = rules.source or SourceOptions()
    options = replace(options, spool=options.spool or storage.places.staging)
    wanted = None if rules.platform is None else Platform.parse(rules.platform)
    with (
        open_image(reference, options) as opened,
        Lease(storage.database, f"pull {reference}") as lease,
    ):
        selection = select(opened.source, Platform.of_machine(os.uname().machine), wanted)
        pull = PullOptions(driver=storage.mountables.best_driver())
        rows = Pull(storage, opened.source, lease, pull, Reporter(rules.progress)).run(
            selection, opened.known_names
        )
    return StoreImage(storage, rows[0])
