"""`check`: what is damaged or nobody's, and what is removed because of it."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidError, NotFoundError, OrlopError
from orlop.storagecmd.damage import Report, look
from orlop.storagecmd.session import error_text

if TYPE_CHECKING:
    from orlop.storagecmd.options import Call
    from orlop.storagecmd.session import Session

_SECOND: Final = 10**9
_UNITS: Final = {
    "ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6,
    "s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND,
}  # fmt: skip
_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def check(session: Session, call: Call) -> int:
    """`check`."""
    maximum = parse_duration(call.text("max") or "24h")
    report = look(session, before_ns=time.time_ns() - maximum, quick=call.flag("quick"))
    if call.flag("json"):
        session.json(report.members())
    else:
        session.lines(report.lines())
    if call.flag("repair") or call.flag("force"):
        return _repair(session, report, force=call.flag("force"))
    if report:
        session.complain(_counts(report))
    return int(bool(report))


def parse_duration(text: str) -> int:
    """A duration such as `1h30m` or `300ms`, in nanoseconds; `0` needs no unit.

    Raises:
        InvalidError: It is none.
    """
    body = text.removeprefix("-").removeprefix("+")
    sign = -1 if text.startswith("-") else 1
    if body == "0":
        return 0
    if not body or _PART.sub("", body):
        raise InvalidError(f'time: invalid duration "{text}"')
    return sign * int(sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(body)))


def _repair(session: Session, report: Report, *, force: bool) -> int:
    """Make again what can be, remove what is damaged, and say what stays."""
    for storage in session.storages:
        storage.repair(quick=True)
    failed = []
    for kind, id in _to_remove(report, force=force):  # noqa: A001
        try:
            _remove(session, kind, id)
        except NotFoundError:
            continue  # It went with what needed it.
        except (OrlopError, OSError) as error:
            failed.append(f"deleting {kind} {id}: {error_text(error)}")
    for line in failed:
        session.complain(line)
    left = len(report.read_only_layers) + len(report.read_only_images)
    if failed or left or (report.containers and not force):
        session.complain(_counts(report))
        return 1
    return 0


def _to_remove(report: Report, *, force: bool) -> list[tuple[str, str]]:
    containers = [("container", each) for each in report.containers] if force else []
    images = [("image", each) for each in report.images]
    return containers + images + [("layer", each) for each in report.layers]


def _remove(session: Session, kind: str, id: str) -> None:  # noqa: A002
    from orlop.storage.staging import discard
    from orlop.storagecmd.deleting import delete_layer_alone

    if kind == "container":
        session.storage.containers.delete(id, force=True)
    elif kind == "image":
        session.find_image(id)[0].images.delete(id)
    elif id in _unrecorded(session):
        discard(session.storage.places.layer(id))
    else:
        delete_layer_alone(session.find_layer(id)[0], id)


def _unrecorded(session: Session) -> frozenset[str]:
    from orlop.storagecmd.examining import unrecorded

    return frozenset(unrecorded(session.storage))


def _counts(report: Report) -> str:
    counted = (
        ("layer", report.layers),
        ("read-only layer", report.read_only_layers),
        ("image", report.images),
        ("read-only image", report.read_only_images),
        ("container", report.containers),
    )
    return ", ".join(f"{len(found)} {what} errors" for what, found in counted)
