"""Verbs for the store as a whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError

if TYPE_CHECKING:
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Session

_HASH_METHODS: Final = ("crc", "size", "sha256")


def gc(session: Session, call: Call) -> int:
    """`gc`."""
    from orlop.storage.collect import collect

    for storage in session.storages:
        collect(storage)
    return _done(session, call)


def dedup(session: Session, call: Call) -> int:
    """`dedup`; files are compared byte for byte, whatever the method."""
    method = call.text("hash-method") or _HASH_METHODS[0]
    if method not in _HASH_METHODS:
        raise InvalidError(f"invalid hash method: {method}")
    shared = sum(storage.dedup() for storage in session.storages)
    if call.flag("json"):
        session.json({"Deduped": shared})
    else:
        session.line(f"Deduplicated {shared} bytes")
    return 0


def config(session: Session, call: Call) -> int:
    """`config`."""
    from orlop.storagecmd.settings import read_config

    found = read_config(call.arguments[0]) if call.arguments else session.settings
    session.json(
        {
            "driver": found.driver,
            "runroot": found.run,
            "graphroot": found.root,
            "imagestore": found.image_store,
            "storage-driver-options": list(found.options) or None,
            "transient_store": found.transient,
        }
    )
    return 0


def status(session: Session, call: Call) -> int:
    """`status`."""
    places = session.storage.places
    pairs = [
        ("Root", str(places.root)),
        ("Run Root", str(places.run)),
        ("Driver Name", session.storage.driver),
        ("Driver Options", f"[{' '.join(session.settings.options)}]"),
    ]
    if call.flag("json"):
        session.json(pairs)
    else:
        for key, value in pairs:
            session.complain(f"{key}: {value}")
    return 0


def version(session: Session, call: Call) -> int:
    """`version`."""
    from orlop import __version__

    pairs = [("orlop", __version__)]
    if call.flag("json"):
        session.json(pairs)
    else:
        for key, value in pairs:
            session.complain(f"{key}: {value}")
    return 0


def unshare(session: Session, call: Call) -> int:
    """`unshare`; it becomes the command."""
    from orlop.storagecmd.namespace import enter

    enter()
    command = list(call.arguments) or [os.environ.get("SHELL") or "/bin/sh"]
    session.streams.out.flush()
    os.execvp(command[0], command)  # noqa: S606


def _done(session: Session, call: Call) -> int:
    if call.flag("json"):
        session.json("")
    return 0
