"""`wipe` and `shutdown`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.errors import InUseError

if TYPE_CHECKING:
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Session


def wipe(session: Session, call: Call) -> int:
    """`wipe`; mounts go, too, whoever holds them."""
    for storage in reversed(session.storages):
        storage.wipe(force=True)
    if call.flag("json"):
        session.json("")
    return 0


def shutdown(session: Session, call: Call) -> int:
    """`shutdown`; by force it unmounts, and has then done what was asked for."""
    force = call.flag("force")
    for storage in session.storages:
        held = any(record.layer and holders for record, holders in storage.mounts.present())
        if held and not force:
            raise InUseError("shutdown: a layer is mounted: layer is in use by a container")
        storage.shutdown(force=force)
    if call.flag("json"):
        session.json("")
    return 0
