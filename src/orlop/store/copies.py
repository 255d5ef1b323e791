"""Copying images between any two places, of which a store may be one: `copy` and `copy_all`."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.errors import OrlopError
from orlop.store.bring import bring_all
from orlop.store.naming import name_of
from orlop.store.options import copy_options
from orlop.store.sources import STORE_PREFIX, open_copied
from orlop.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from orlop.platform import Platform
    from orlop.storage.storage import Storage
    from orlop.store.store import Store
    from orlop.transfer import Copied, CopyOptions, ProgressCallback, SourceOptions


def copy(
    source: str,
    destination: str,
    *,
    store: Store | None = None,
    platform: str | Platform | None = None,
    all_platforms: bool = False,
    oci: bool = False,
    jobs: int | None = None,
    options: SourceOptions | None = None,
    output: BinaryIO | None = None,
    timestamp: int = 0,
    progress: ProgressCallback | None = None,
) -> Copied:
    """Copy an image from any place to any other, byte for byte.

        orlop.copy("docker.io/library/debian:12", "oci-archive:debian.tar")
        orlop.copy("store:debian:12", "oci:layout:12")

    Success means that it is whole, durable and named there. What is there is not copied again. All
    that the source holds is, so that the digest stays; where it cannot, `notes` say why.

    Args:
        source: `store:NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
            `docker-archive:FILE[:NAME]`, `dir:DIR`, or a reference to a registry.
        destination: A place of the same kinds, though not a registry. One without a name gives the
            image the name that it has; a name that is taken moves here.
        store: What `store:` means; this user's store where None.
        platform: Copy the one image for this platform out of several.
        all_platforms: Refuse to leave anything out that an index lists; into a store, bring the
            other platforms along, too.
        oci: Turn Docker's media types into OCI's, which changes the digest.
        jobs: How many blobs are copied at once, 1 to 64; 3 where None.
        options: How registries are reached, and the file object that `-` means as a source.
        output: The file object that `-` means as a destination, such as `oci-archive:-`.
        timestamp: The time of everything in an archive, in seconds since 1970.
        progress: Called with each step.

    Raises:
        InvalidReferenceError: A text names no place, or one of the wrong kind.
        NotFoundError: The source lacks the image, or something of it that cannot be left out.
        AmbiguousError: Several images of the source fit.
        AlreadyExistsError: Something that may not be replaced is at the destination.
        UnsupportedError: The destination cannot hold such an image, or is in a registry.
        VerificationError: Something is not what its descriptor says; nothing was named.
        InvalidError, LimitExceededError: A document or an archive is broken, or something too
            large; nothing was named.
        OSError, RegistryError: Something could not be read or written; nothing was named.
    """
    how = copy_options(
        platform=platform,
        all_platforms=all_platforms,
        oci=oci,
        jobs=jobs,
        source=options,
        output=output,
        timestamp=timestamp,
        progress=progress,
    )
    return _copy(store, source, destination, how, every=False)[0]


def copy_all(
    source: str,
    destination: str,
    *,
    store: Store | None = None,
    platform: str | Platform | None = None,
    all_platforms: bool = False,
    oci: bool = False,
    jobs: int | None = None,
    options: SourceOptions | None = None,
    output: BinaryIO | None = None,
    timestamp: int = 0,
    progress: ProgressCallback | None = None,
) -> list[Copied]:
    """Copy every image of a place on this machine to another; see `copy`.

    They are named all at once, but in a store, where each is when it has come. A compressed or
    piped archive is read once.
    """
    how = copy_options(
        platform=platform,
        all_platforms=all_platforms,
        oci=oci,
        jobs=jobs,
        source=options,
        output=output,
        timestamp=timestamp,
        progress=progress,
    )
    return _copy(store, source, destination, how, every=True)


def _copy(
    store: Store | None, source: str, destination: str, options: CopyOptions, *, every: bool
) -> list[Copied]:
    with ExitStack() as stack:
        stack.enter_context(_naming(source, destination))
        storage = None
        if source.startswith(STORE_PREFIX) or destination.startswith(STORE_PREFIX):
            storage = stack.enter_context(_storage_of(store))
        return _copy_between(storage, source, destination, options, every=every)


def _copy_between(
    storage: Storage | None, source: str, destination: str, options: CopyOptions, *, every: bool
) -> list[Copied]:
    """Copy one image, or all of a place; `storage` is None where neither place is a store."""
    from orlop.transfer import Copied, copy_opened, parse_destination

    if not destination.startswith(STORE_PREFIX):
        place = parse_destination(destination)
        with open_copied(storage, source, options, every=every) as images:
            return copy_opened(images, place, options)
    assert storage is not None, "whoever names a store opens it"
    tag = destination.removeprefix(STORE_PREFIX)
    name = name_of(tag) if tag else None
    options = replace(options, source=_spooling(options.source, storage))
    with open_copied(storage, source, options, every=every) as images:
        brought = bring_all(storage, images, options, name=name)
    return [
        Copied(target=named[0].target, names=tuple(each.name for each in named), notes=notes)
        for named, notes in brought
    ]


def _spooling(options: SourceOptions, storage: Storage) -> SourceOptions:
    return replace(options, spool=options.spool or storage.places.staging)


@contextmanager
def _storage_of(store: Store | None) -> Iterator[Storage]:
    if store is not None:
        yield store.storage
        return
    with open_store() as opened:
        yield opened.storage


@contextmanager
def _naming(source: str, destination: str) -> Iterator[None]:
    """Let errors say what was copied where."""
    try:
        yield
    except OrlopError as error:
        raise error.inside(f"copying {source} to {destination}")
