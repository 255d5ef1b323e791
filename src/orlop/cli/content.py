"""`orlop content`: blobs by digest, and downloads that are under way or were interrupted."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from orlop.cli.failure import for_each
from orlop.cli.filters import check_filters
from orlop.cli.names import parse_labels
from orlop.cli.parameter import Parameter
from orlop.cli.render import Format, clean, human_age, human_size, print_json, print_table
from orlop.cli.settings import open_existing, open_for_reading, store_exists
from orlop.content import INFO_FIELDS, STATUS_FIELDS
from orlop.digest import Digest
from orlop.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orlop.content import Info, IngestStatus
    from orlop.metadata.recorded import RecordedContent

Item = TypeVar("Item")

_PIECE: Final = 1 << 20


def list_blobs(
    *,
    filter: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),  # noqa: A002
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """List the blobs: manifests, configs and layers as they were fetched.

    Args:
        filter: Only those that it means, such as size>100MiB, createdat<30d or labels.team==sea;
            may be given several times, and any of them is enough.
        quiet: Print digests alone.
        format: How to print: table or json.
    """
    check_filters(filter, INFO_FIELDS)
    found = _read(lambda content: content.walk(*filter))
    if quiet:
        for info in found:
            print(info.digest)
    elif format == "json":
        print_json([_blob(info) for info in found])
    else:
        now = time.time_ns()
        rows = [
            [
                info.digest,
                human_size(info.size),
                human_age(info.created_ns, now),
                " ".join(f"{key}={value}" for key, value in info.labels.items()),
            ]
            for info in found
        ]
        print_table(rows, ["digest", "size", "stored", "labels"])


def get(digest: str, /) -> None:
    """Print a blob to standard output, byte for byte, verified.

    What is damaged is found out at the end: only exit code 0 says that all of it was right.

    Args:
        digest: The whole digest.
    """
    wanted = Digest(digest)
    sys.stdout.flush()
    with open_for_reading() as store, store.content().open(wanted) as blob:
        shutil.copyfileobj(blob, sys.stdout.buffer, _PIECE)
    sys.stdout.buffer.flush()


def label(digest: str, /, *labels: str, format: Format = "table") -> None:  # noqa: A002
    """Set labels of a blob, or list them.

    Those under containerd.io/gc. tell `orlop gc` what to keep.

    Args:
        digest: The whole digest.
        labels: KEY=VALUE; KEY= takes one away. Without any, those that are there are listed.
        format: How to list: table or json.
    """
    blob, wanted = Digest(digest), parse_labels(labels)
    with open_existing() if wanted else open_for_reading() as store:
        info = (
            store.content().update(blob, wanted, *(f"labels.{key}" for key in wanted))
            if wanted
            else store.content().stat(blob)
        )
    if info is None:
        raise NotFoundError(f"content {blob} is not stored")
    if format == "json":
        print_json(info.labels)
    elif not wanted:
        for key, value in info.labels.items():
            print(clean(f"{key}={value}"))


def list_ingests(
    *,
    filter: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),  # noqa: A002
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """List the downloads that are under way, or were interrupted and can be gone on with.

    Args:
        filter: Only those that it means, such as updatedat<1h or offset>1GiB; may be given several
            times, and any of them is enough.
        quiet: Print references alone.
        format: How to print: table or json.
    """
    check_filters(filter, STATUS_FIELDS)
    found = _read(lambda content: content.statuses(*filter))
    if quiet:
        for status in found:
            print(clean(status.reference))
    elif format == "json":
        print_json([_ingest(status) for status in found])
    else:
        now = time.time_ns()
        rows = [
            [
                status.reference,
                human_size(status.offset),
                "" if status.size is None else human_size(status.size),
                human_age(status.started_ns, now),
                human_age(status.updated_ns, now),
            ]
            for status in found
        ]
        print_table(rows, ["reference", "arrived", "of", "started", "updated"])


def abort(reference: str, /, *more: str) -> int:
    """Drop interrupted downloads: what has arrived of them is fetched anew.

    One that a process is writing is left alone.

    Args:
        reference: A reference, as `orlop content ingests` lists it.
        more: Further ones.
    """
    with open_existing() as store:
        content = store.content()
        return for_each((reference, *more), content.abort)


def _read(choose: Callable[[RecordedContent], Iterable[Item]]) -> list[Item]:
    """What the store has of something; nothing where there is no store."""
    if not store_exists():
        return []
    with open_for_reading() as store:
        return list(choose(store.content()))


def _blob(info: Info) -> dict[str, object]:
    return {
        "digest": info.digest,
        "size": info.size,
        "created_at_ns": info.created_ns,
        "updated_at_ns": info.updated_ns,
        "labels": dict(info.labels),
    }


def _ingest(status: IngestStatus) -> dict[str, object]:
    return {
        "reference": status.reference,
        "digest": status.digest,
        "size": status.size,
        "offset": status.offset,
        "started_at_ns": status.started_ns,
        "updated_at_ns": status.updated_ns,
    }
