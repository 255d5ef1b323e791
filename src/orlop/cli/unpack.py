"""`orlop unpack` and `orlop repack`."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

from orlop.cli.failure import UsageError
from orlop.cli.obtain import PullWhen, obtain
from orlop.cli.parameter import Parameter
from orlop.cli.progress import single_bar
from orlop.cli.registry import DEFAULT_FLAGS, RegistryFlags
from orlop.cli.render import Format, clean, print_json
from orlop.cli.settings import open_existing, open_store
from orlop.cli.streams import source_date_epoch
from orlop.timestamp import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.unpack import Repacked, Unpacked, UnpackProgress

_SHOWN = 10


def unpack(
    image: str,
    directory: str,
    /,
    *,
    layer: str | None = None,
    stacked: Annotated[bool, Parameter(negative="")] = False,
    pull: PullWhen = "missing",
    platform: str | None = None,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
    registry: RegistryFlags = DEFAULT_FLAGS,
) -> None:
    """Write an image into a directory, and print where its files are.

    They are in DIRECTORY/rootfs. What lies beside it is for `orlop repack`, which makes an image of
    it again once it was changed. Root gets exactly what is in the image; others get files of their
    own, and owners and devices are noted for `orlop repack`.

    Args:
        image: Its name or ID; or what `orlop pull` takes, of an image that is not here.
        directory: An empty directory, or one that is to be made.
        layer: One layer alone, with whiteouts as files .wh.NAME: its number from 0 for the base,
            its digest or its diffID.
        stacked: Each layer in a directory of its own, 0 for the base, as overlay mounts them.
        pull: When the image is pulled.
        platform: Which image of several is pulled.
        quiet: Print paths alone, and no progress.
        format: How to print: table or json.
        registry: How registries are reached.
    """
    if layer is not None and stacked:
        raise UsageError("--layer is one layer, --stacked all of them", hint="give one")
    with open_store() as store:
        found = obtain(store, image, pull, platform, registry, quiet=quiet)
        with _bar(quiet=quiet) as bar:
            unpacked = found.unpack(directory, layer=layer, stacked=stacked, progress=bar)
    _tell_unpacked(unpacked, format, quiet=quiet)


def repack(
    directory: str,
    /,
    *,
    tag: Annotated[tuple[str, ...], Parameter(alias="-t", negative="")],
    hash: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002
    compress: Literal["gzip", "zstd", "none"] = "gzip",
    message: str | None = None,
    author: str | None = None,
    created_by: str | None = None,
    created: str | None = None,
    refresh: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """Make an image of a directory that `orlop unpack` made, and print its ID.

    What was changed becomes a layer on those of the image. Without a change there is none, and the
    image gets one more name. SOURCE_DATE_EPOCH is the moment at which the image was made, and the
    latest time of what was changed.

    Args:
        directory: Where the image was unpacked.
        tag: What the new image is called; may be given several times.
        hash: Compare the content of every file, and trust no note of what it was like.
        compress: How the new layer is stored, and pushed: gzip, zstd or none.
        message: What is to be said of it in the history.
        author: Who made it.
        created_by: The command that made it.
        created: When it was made, such as 2026-01-31T12:00:00Z; now if it is not said.
        refresh: Take the directory for the new image's from now on: what is changed later becomes
            one more layer.
        quiet: Print the ID alone.
        format: How to print: table or json.
    """
    from orlop.unpack import RepackOptions

    options = RepackOptions(
        hash=hash, compression=compress, author=author, comment=message, created_by=created_by,
        created_at_ns=None if created is None else _moment(created),
        source_date_epoch=source_date_epoch(), refresh=refresh,
    )  # fmt: skip
    with open_existing() as store:
        repacked = store.repack(directory, *tag, options=options)
    _tell_repacked(repacked, format, quiet=quiet)


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[UnpackProgress], object] | None]:
    """A bar while the block runs; None where nobody would see it."""
    with single_bar("unpacking", "files", quiet=quiet) as update:
        if update is None:
            yield None
            return

        def show(step: UnpackProgress) -> None:
            several = step.directories > 1
            of = f"layer {step.directory + 1} of {step.directories}" if several else "unpacking"
            update(of, step.done, step.total)

        yield show


def _moment(text: str) -> int:
    found = parse_timestamp(text)
    if found is None:
        raise UsageError(f"{text[:40]!r} is no time", hint="such as 2026-01-31T12:00:00Z")
    return found


def _tell_unpacked(unpacked: Unpacked, format: Format, *, quiet: bool) -> None:  # noqa: A002
    if format == "json":
        print_json(
            {
                "path": str(unpacked.path),
                "form": unpacked.form,
                "directories": [str(path) for path in unpacked.directories],
                "inodes": unpacked.inodes,
                "links": unpacked.links,
                "kept": unpacked.kept,
                "dropped": [
                    {"path": os.fsdecode(each.path), "what": each.what} for each in unpacked.dropped
                ],
                "dropped_count": unpacked.dropped_count,
            }
        )
        return
    if not quiet:
        if unpacked.kept == "nothing":
            print("owners and devices are noted for repack: this is not root", file=sys.stderr)
        for each in unpacked.dropped[:_SHOWN]:
            print(clean(f"left out: /{os.fsdecode(each.path)}: {each.what}"), file=sys.stderr)
        if unpacked.dropped_count > _SHOWN:
            print(f"left out: {unpacked.dropped_count - _SHOWN} more", file=sys.stderr)
    for path in unpacked.directories:
        print(path)


def _tell_repacked(repacked: Repacked, format: Format, *, quiet: bool) -> None:  # noqa: A002
    if format == "json":
        print_json(
            {
                "id": repacked.image.id,
                "names": repacked.image.names,
                "layer": repacked.layer,
                "size": repacked.size,
                "entries": repacked.entries,
                "skipped": [
                    {"path": os.fsdecode(each.path), "what": each.what} for each in repacked.skipped
                ],
            }
        )
        return
    if not quiet:
        for each in repacked.skipped:
            print(clean(f"skipped /{os.fsdecode(each.path)}: {each.what}"), file=sys.stderr)
        if repacked.layer is None:
            print("nothing was changed: there is no new layer", file=sys.stderr)
        else:
            print(f"a layer of {repacked.entries} entries", file=sys.stderr)
    print(repacked.image.id)
