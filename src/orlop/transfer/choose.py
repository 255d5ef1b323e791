"""Which image of several a name of a store stands for: chosen anew, out of what is here."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from orlop.errors import NotFoundError
from orlop.mediatype import is_index
from orlop.metadata import Lease
from orlop.platform import Platform, matches
from orlop.spec.descriptor import Descriptor
from orlop.transfer.progress import Reporter
from orlop.transfer.pull import Pull, PullOptions
from orlop.transfer.select import select
from orlop.transfer.stored import StoreSource

if TYPE_CHECKING:
    from orlop.metadata import ImageRow
    from orlop.storage.storage import Storage

_HINT = "let it be pulled: --pull always"


def choose_stored(storage: Storage, row: ImageRow, platform: str | None = None) -> ImageRow:
    """The record of a name that stands for an image of this platform.

    A name that stands for an index of several stands for another of them from now on, as after a
    pull; nothing is fetched.

    Args:
        storage: The store.
        row: The record of the name.
        platform: What is wanted; what it stands for where None, or if that is nothing, what suits
            this machine.

    Raises:
        NotFoundError: There is no image for the platform, or not all of it is here.
        ConflictError: The name has been moved or removed since its record was read.
        InvalidPlatformError: The platform is none.
        OrlopError: The index is broken, as `select` says.
        OSError: Something could not be read or written.
    """
    wanted = None if platform is None else Platform.parse(platform)
    target = Descriptor.decode(json.loads(row.target))
    several = is_index(target.media_type) and bool(row.name)
    if row.platform and (wanted is None or matches(wanted, Platform.parse(row.platform))):
        return row
    if not several and (wanted is None or not row.platform):
        return row  # What it is for is not said.
    if not several or storage.database.read_only:
        raise NotFoundError(
            f"{row.name} is here for {row.platform or 'other platforms'}, and not for"
            f" {wanted or 'this machine'}",
            hint=_HINT,
        )
    with Lease(storage.database, f"choose {row.name}") as lease:
        lease.hold("blob", row.target_digest)
        source = StoreSource(storage.content, target, (row.name,))
        try:
            selection = select(source, Platform.of_machine(os.uname().machine), wanted)
            options = PullOptions(driver=storage.mountables.best_driver())
            pull = Pull(storage, source, lease, options, Reporter(None))
            return pull.run(selection, (row.name,), again=True)[0]
        except NotFoundError as error:
            raise error.inside(row.name, hint=_HINT) from None
