"""What the commands about layers, images and containers have alike."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final, Protocol

from orlop.cli.failure import UsageError, for_each
from orlop.cli.render import human_time
from orlop.cli.streams import STREAM, refuse_terminal
from orlop.errors import InvalidError, LimitExceededError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.idmap import IdMapping
    from orlop.metadata import BigDatum
    from orlop.storage.stored.auto import AutoIds
    from orlop.tree import Change

    class _Mounted(Protocol):
        """The layers, images or containers of a store, which are counted while they are mounted."""

        def resolve(self, key: str) -> str: ...
        def mounted(self, key: str) -> int: ...
        def unmount(self, key: str, *, force: bool = False) -> int: ...


Fact = tuple[str, str]

_DIGITS: Final = 12
_is_random: Final = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?", re.ASCII).fullmatch
_CHANGES: Final = {"add": "A", "modify": "C", "delete": "D"}
_AUTO: Final = "auto"


def short(id: str) -> str:  # noqa: A002
    """An ID for people: a dozen of its digits, or all of one that somebody chose."""
    return id[:_DIGITS] if _is_random(id) else id


def label_of(id: str, names: Iterable[str]) -> str:  # noqa: A002
    """What people call something: its first name, or else its ID."""
    return next(iter(names), short(id))


def print_changes(changes: Iterable[Change]) -> None:
    """Print changed paths as people know them: A for added, C for changed, D for deleted."""
    from orlop.cli.files import shown

    for change in changes:
        print(f"{_CHANGES[change.kind]} /{shown(change.path)}")


def change_documents(changes: Iterable[Change]) -> list[dict[str, object]]:
    """Changed paths for JSON; bytes that are no UTF-8 are written as escapes."""
    from orlop.cli.files import text_of

    return [{"kind": each.kind, "path": f"/{text_of(each.path)}"} for each in changes]


def data_document(data: Iterable[BigDatum]) -> list[dict[str, object]]:
    """Big data for JSON."""
    return [{"name": each.name, "size": each.size, "digest": each.digest} for each in data]


def mapping_document(mapping: IdMapping | None) -> dict[str, object] | None:
    """An ID mapping for JSON."""
    if mapping is None:
        return None
    from orlop.idmap import encode_ranges

    return {"uids": encode_ranges(mapping.uids), "gids": encode_ranges(mapping.gids)}


def mapping_facts(mapping: IdMapping | None) -> list[Fact]:
    """An ID mapping for people, a range a line."""
    if mapping is None:
        return []
    uids = [("users", str(each)) for each in mapping.uids]
    return [*uids, *(("groups", str(each)) for each in mapping.gids)]


def common_facts(metadata: str, created_at_ns: int, data: Iterable[BigDatum]) -> list[Fact]:
    """What layers, images and containers all have."""
    return [
        ("created", human_time(created_at_ns) if created_at_ns else ""),
        ("metadata", metadata),
        *(("data", f"{each.name}  {each.size} B  {each.digest}") for each in data),
    ]


def parse_mapping(uidmap: Iterable[str], gidmap: Iterable[str]) -> IdMapping | None:
    """The ID mapping that `--uidmap` and `--gidmap` mean; one of them alone is for both.

    Raises:
        UsageError: They are no ranges, or overlap.
    """
    uids, gids = tuple(uidmap), tuple(gidmap)
    if not uids and not gids:
        return None
    from orlop.idmap import IdMapping

    try:
        return IdMapping.parse(uids or gids, gids or uids)
    except (InvalidError, LimitExceededError) as error:
        raise UsageError(str(error), hint=error.hint) from None


def parse_ids(text: str) -> AutoIds:
    """What `--ids auto[:SIZE]` means.

    Raises:
        UsageError: It is something else.
    """
    from orlop.storage.stored.auto import DEFAULT_SIZE, AutoIds

    word, colon, size = text.partition(":")
    if word != _AUTO or (colon and not (size.isascii() and size.isdigit() and int(size[:10]))):
        raise UsageError(f"{text[:40]!r} is no choice of IDs", hint="write auto or auto:SIZE")
    return AutoIds(size=int(size[:10]) if colon else DEFAULT_SIZE)


def read_metadata(text: str) -> str:
    """Metadata as an argument has it; where that is `-`, standard input.

    Raises:
        LimitExceededError: `MAX_METADATA_SIZE`.
        InvalidError: It is not UTF-8.
    """
    if text != STREAM:
        return text
    from orlop.storage.naming import MAX_METADATA_SIZE

    refuse_terminal("metadata")
    data = sys.stdin.buffer.read(MAX_METADATA_SIZE + 1)
    if len(data) > MAX_METADATA_SIZE:
        raise LimitExceededError("the metadata", limit="MAX_METADATA_SIZE", value=MAX_METADATA_SIZE)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidError(f"the metadata is not UTF-8: {error}") from None


def unmount_each(kind: str, objects: _Mounted, keys: Iterable[str], *, force: bool) -> int:
    """Give up one hold on the mounts of layers, images or containers; returns the exit code."""

    def unmount(key: str) -> None:
        found = objects.resolve(key)
        held = objects.mounted(found)
        objects.unmount(found, force=force)
        if not held:
            raise NotFoundError(
                f"{kind} {key} is not mounted",
                hint="`orlop mount` without arguments lists what is",
            )

    return for_each(keys, unmount)
