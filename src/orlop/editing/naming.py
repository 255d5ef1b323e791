"""What was made of a draft gets its name: only if that means what it is expected to mean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop.errors import AlreadyExistsError, ConflictError
from orlop.images.record import ImageRecord
from orlop.images.rows import read_row
from orlop.images.store import ImageStore
from orlop.metadata import Images
from orlop.platform import Platform
from orlop.storage.stored.entry import record_image

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.metadata import ImageRow, Lease, Transaction
    from orlop.spec import Descriptor
    from orlop.spec.config import ImageConfig
    from orlop.spec.manifest import Manifest
    from orlop.storage.storage import Storage

Expected: TypeAlias = "Digest | Literal['any'] | None"
"""What a name has to mean: a target's digest, nothing yet (None), or whatever it means."""

ANY: Final = "any"


def meaning_of(storage: Storage, name: str) -> Digest | None:
    """The digest of what a name stands for now; None where it is free."""
    with storage.database.read() as tx:
        row = Images(tx).get(name)
    return None if row is None else row.target_digest


def name_image(
    storage: Storage,
    lease: Lease,
    manifest: Manifest,
    config: ImageConfig,
    name: str,
    expected: Expected,
) -> ImageRow:
    """Record an image, whose blobs are stored, under a name.

    Raises:
        ConflictError: The name means something else than is expected.
        NotFoundError: Somebody has ended the lease.
        OSError: It could not be recorded.
    """
    with storage.database.write() as tx:
        lease.require_in(tx)
        require_meaning(tx, name, expected)
        record_image(tx, config, manifest, [name])
        row = Images(tx).get(name)
        assert row is not None
        return row


def require_meaning(tx: Transaction, name: str, expected: Expected) -> None:
    """Succeed if a name means what it has to.

    Raises:
        ConflictError: It does not.
    """
    if expected == ANY:
        return
    row = Images(tx).get(name)
    found = None if row is None else row.target_digest
    if found != expected:
        raise ConflictError(
            f"{name} has been {'removed' if found is None else 'moved'} meanwhile",
            hint="look what it means now, and edit that",
        )


def name_index(
    storage: Storage, lease: Lease, target: Descriptor, name: str, expected: Expected
) -> None:
    """Record an index, which is stored, under a name.

    Raises:
        ConflictError: The name means something else than is expected.
        NotFoundError: Somebody has ended the lease.
        OSError: It could not be recorded.
    """
    host = Platform.of_machine(os.uname().machine)
    images = ImageStore(storage.database, storage.content, platform=host)
    record = ImageRecord(name=name, target=target)
    with storage.database.read() as tx:
        lease.require_in(tx)
        require_meaning(tx, name, expected)
        row = Images(tx).get(name)
    try:
        if row is None:
            images.create(record)
        else:
            images.update(record, "target", expected=read_row(row))
    except AlreadyExistsError as error:
        raise ConflictError(str(error), hint="look what it means now, and edit that") from None
