"""Verbs that compare layers, write what differs, and apply it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from orlop.errors import UnsupportedError
from orlop.storagecmd.listing import change_line
from orlop.storagecmd.session import reading, tar_errors, writing

if TYPE_CHECKING:
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Session

_KINDS = {"modify": 0, "add": 1, "delete": 2}


def changes(session: Session, call: Call) -> int:
    """`changes`."""
    storage, layer = session.find_layer(call.arguments[0])
    every = storage.layers.changes(layer.id, _base(session, call))
    found = [each for each in every if each.path]  # Of the root itself nothing is said.
    if call.flag("json"):
        session.json(
            [
                {
                    "Path": "/" + each.path.decode(errors="surrogateescape").lstrip("/"),
                    "Kind": _KINDS[each.kind],
                }
                for each in found
            ]
            or None
        )
    else:
        session.lines(map(change_line, found))
    return 0


def diff_size(session: Session, call: Call) -> int:
    """`diffsize`."""
    from orlop.storagecmd.sizes import content_size

    storage, layer = session.find_layer(call.arguments[0])
    base = session.layer(call.arguments[1]) if "".join(call.arguments[1:]) else None
    session.line(str(content_size(storage, layer, base)))
    return 0


def diff(session: Session, call: Call) -> int:
    """`diff`; of the root itself nothing is said, but in the tar that a layer was made of."""
    from orlop.storagecmd.tars import is_original, iter_compressed, without_root

    with writing(call.text("file"), session.streams.out) as target:
        compression = _compression(call)
        storage, layer = session.find_layer(call.arguments[0])
        base = _base(session, call)
        with storage.layers.diff(layer.id, base) as source:
            start = b"" if is_original(storage, layer, base) else without_root(source)
            for piece in iter_compressed(start, source, compression):
                target.write(piece)
    return 0


def apply_diff(session: Session, call: Call) -> int:
    """`applydiff`."""
    with reading(call.text("file"), session.streams.stdin) as stream:
        storage, layer = session.find_layer(call.arguments[0])
        with tar_errors():
            storage.layers.apply_diff(layer.id, stream)
    return 0


def apply_directory(session: Session, call: Call) -> int:
    """`applydiff-using-staging-dir`."""
    from orlop.storagecmd.packing import packed

    storage, layer = session.find_layer(call.arguments[0])
    with packed(call.arguments[1]) as stream:
        storage.layers.apply_diff(layer.id, stream)
    return 0


def _base(session: Session, call: Call) -> str | None:
    key = call.arguments[1] if len(call.arguments) > 1 else ""
    return session.layer(key).id if key else None


def _compression(call: Call) -> Literal["none", "gzip"]:
    """How the tar is compressed; the last of several flags that the peer knows wins there."""
    for name in ("xz", "bzip2"):
        if call.flag(name):
            short = {"xz": "xz", "bzip2": "bz2"}[name]
            raise UnsupportedError(f"unsupported compression format tar.{short}")
    return "gzip" if call.flag("gzip") else "none"
