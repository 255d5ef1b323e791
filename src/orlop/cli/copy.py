"""`orlop copy`, `orlop save` and `orlop load`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from orlop.cli.failure import UsageError
from orlop.cli.parameter import Parameter
from orlop.cli.progress import display
from orlop.cli.pull import check_jobs
from orlop.cli.registry import DEFAULT_FLAGS, RegistryFlags
from orlop.cli.render import clean
from orlop.cli.settings import open_for_reading, open_store, refuse_empty
from orlop.cli.streams import binary_output, read_whole, refuse_terminal, source_date_epoch
from orlop.store.archives import ArchiveFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.store import Store
    from orlop.transfer import Copied

_STORE = "store:"
_STREAM = "-"


def copy(
    source: str,
    destination: str,
    /,
    *,
    platform: str | None = None,
    all_platforms: Annotated[bool, Parameter(negative="")] = False,
    every: Annotated[bool, Parameter(name="--all", alias="-a", negative="")] = False,
    oci: Annotated[bool, Parameter(negative="")] = False,
    jobs: Annotated[int, Parameter(alias="-j", validator=check_jobs)] = 3,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    registry: RegistryFlags = DEFAULT_FLAGS,
) -> None:
    """Copy images from any place to any other, byte for byte.

    Places are store:NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] and
    dir:DIR; a registry's image can be copied from. Where FILE is -, an archive comes from standard
    input, or goes to standard output. Prints the digest of each copy.

    Args:
        source: Where the image is.
        destination: Where it goes; it keeps its name where this gives it none.
        platform: Copy the one image for this platform out of several, such as linux/arm64.
        all_platforms: Copy the images for all platforms, into the store too, or fail.
        every: Copy all images of the source.
        oci: Turn Docker's media types into OCI's, which changes digests.
        jobs: How many blobs are copied at once.
        quiet: Show no progress.
        registry: How registries are reached.
    """
    from orlop.store import copy as copy_one
    from orlop.store import copy_all

    _refuse_both(platform, all_platforms=all_platforms)
    if _is_stream(source):
        refuse_terminal("an archive")
    with ExitStack() as stack:
        output = binary_output("an archive") if _is_stream(destination) else None
        stack.enter_context(read_whole("the archive"))
        store = _store_for(source, destination, stack)
        bars = stack.enter_context(display(quiet=quiet))
        copied = (copy_all if every else copy_one)(
            source,
            destination,
            store=store,
            platform=platform,
            all_platforms=all_platforms,
            oci=oci,
            jobs=jobs,
            options=replace(registry.options_for(source), stream=sys.stdin.buffer),
            output=output,
            timestamp=source_date_epoch() or 0,
            progress=bars.update if bars else None,
        )
    images = copied if isinstance(copied, list) else [copied]
    tell_notes(images)
    for image in images:
        print(image.digest, file=sys.stderr if output else sys.stdout)


def save(
    image: str,
    /,
    *more: str,
    output: Annotated[str, Parameter(alias="-o", validator=refuse_empty)] = _STREAM,
    format: ArchiveFormat = "docker-archive",  # noqa: A002
    platform: str | None = None,
    all_platforms: Annotated[bool, Parameter(negative="")] = False,
    oci: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
) -> None:
    """Write images of the store into an archive, byte for byte.

    A docker-archive is read by Docker, podman, skopeo and containerd, and is an OCI layout as well.
    The same images give the same bytes; SOURCE_DATE_EPOCH is the time of everything in it.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        more: Further ones.
        output: The file, replaced when the archive is whole; standard output by default.
        format: docker-archive or oci-archive.
        platform: Of each image, the one for this platform out of several, such as linux/arm64.
        all_platforms: Fail if anything that an index lists is not stored.
        oci: Turn Docker's media types into OCI's, which changes digests.
        quiet: Show no progress.
    """
    _refuse_both(platform, all_platforms=all_platforms)
    _refuse_place(output, f"`orlop copy store:{image} {output}`")
    with read_whole("the archive"), open_for_reading() as store, display(quiet=quiet) as bars:
        saved = store.save(
            [image, *more],
            binary_output("an archive") if output == _STREAM else output,
            format=format,
            platform=platform,
            all_platforms=all_platforms,
            oci=oci,
            timestamp=source_date_epoch() or 0,
            progress=bars.update if bars else None,
        )
    tell_notes(saved)


def load(
    input: Annotated[  # noqa: A002
        str, Parameter(alias="-i", allow_leading_hyphen=True, validator=refuse_empty)
    ] = _STREAM,
    *,
    platform: str | None = None,
    all_platforms: Annotated[bool, Parameter(negative="")] = False,
    jobs: Annotated[int, Parameter(alias="-j", validator=check_jobs)] = 3,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
) -> None:
    """Bring all images of an archive into the store.

    Prints their names. An image that has none in the archive is called after the file.

    Args:
        input: The file or directory, of any form, compressed or not; standard input by default.
        platform: Of each image, the one for this platform; this machine's by default.
        all_platforms: Store the images for other platforms, too, without unpacking them.
        jobs: How many layers are brought in at once.
        quiet: Show no progress.
    """
    _refuse_both(platform, all_platforms=all_platforms)
    _refuse_place(input, f"`orlop copy --all {input} store:`")
    if input == _STREAM:
        refuse_terminal("an archive")
    with open_store() as store, display(quiet=quiet) as bars:
        images = store.load(
            sys.stdin.buffer if input == _STREAM else input,
            platform=platform,
            all_platforms=all_platforms,
            jobs=jobs,
            progress=bars.update if bars else None,
        )
    for image in images:
        print(image.name)


def tell_notes(copied: Sequence[Copied]) -> None:
    """Say what differs from the images as they were."""
    for image in copied:
        for note in image.notes:
            print(f"note: {clean(note)}", file=sys.stderr)


def _is_stream(text: str) -> bool:
    transport, _, path = text.partition(":")
    return transport.endswith("-archive") and path.partition(":")[0] == _STREAM


def _refuse_both(platform: str | None, *, all_platforms: bool) -> None:
    if platform is not None and all_platforms:
        raise UsageError("--platform and --all-platforms exclude each other")


def _refuse_place(path: str, command: str) -> None:
    """Refuse what `orlop copy` would take: a file would be called so."""
    from orlop.layout import TRANSPORTS

    if path.startswith(tuple(f"{transport}:" for transport in TRANSPORTS)):
        raise UsageError(f"{path!r} is a place, where a path is expected", hint=f"use {command}")


def _store_for(source: str, destination: str, stack: ExitStack) -> Store | None:
    if destination.startswith(_STORE):
        return stack.enter_context(open_store())
    return stack.enter_context(open_for_reading()) if source.startswith(_STORE) else None
