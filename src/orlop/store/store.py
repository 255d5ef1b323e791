"""A store of images on this machine."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, overload

from orlop.metadata import Images, Lease
from orlop.platform import Platform
from orlop.storage.lookup import find_image
from orlop.storage.places import Places
from orlop.storage.reserve import with_reserve
from orlop.storage.storage import Storage
from orlop.storage.where import find_places
from orlop.store.edits import ImageEdits
from orlop.store.image import Image
from orlop.store.naming import add_names, name_of, remove_name, remove_names, set_labels
from orlop.store.upkeep import StoreUpkeep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from orlop.images.store import ImageStore
    from orlop.metadata import Until
    from orlop.metadata.content import LeasedContent
    from orlop.metadata.recorded import RecordedContent
    from orlop.runtime import RunOptions, RunResult
    from orlop.storage.build import LayerLimits
    from orlop.storage.layers.store import LayerStore
    from orlop.storage.mountable import Driver, Mountables, StorageDriver
    from orlop.storage.stored.containers import ContainerStore
    from orlop.storage.stored.images import StoredImageStore
    from orlop.store.archives import ArchiveFormat
    from orlop.store.leases import StoreLeases
    from orlop.transfer import Copied, ProgressCallback, PullOptions, SourceOptions
    from orlop.unpack import Repacked, RepackOptions


def open_store(
    root: str | PathLike[str] | None = None,
    run: str | PathLike[str] | None = None,
    *,
    read_only: bool = False,
    driver: StorageDriver | None = None,
    additional: Sequence[str | PathLike[str]] = (),
) -> Store:
    """Open a store, and make it where there is none.

    Args:
        root: Where it is; `/var/lib/orlop` for root, `$XDG_DATA_HOME/orlop` for others.
        run: Its mount points; `/run/orlop` for root, `$XDG_RUNTIME_DIR/orlop` for others.
        read_only: Write nothing.
        driver: How layers and containers are mounted and written to: `erofs`, `overlay` or `vfs`;
            what suits the machine where None.
        additional: Other stores, whose layers and images are looked for after the own ones; they
            are only read.

    Raises:
        NotFoundError: There is none, and nothing may be written; or this user has no place for one.
        UnsupportedError: Another version of orlop made it.
        OSError: It cannot be opened or made.
    """
    places = find_places(root, run)
    others = [Places(Path(each).absolute(), places.run) for each in additional]
    return Store(places, read_only=read_only, driver=driver, additional=others)


class Store(ImageEdits, StoreUpkeep):
    """Images, their layers and their mounts; a context manager, safe for several threads.

    Any number of processes may have the same store open.

    Args:
        places: Where it is.
        read_only: Write nothing; listing, inspecting and reading files work.
        driver: How layers and containers are mounted and written to.
        additional: Stores to look through after this one.

    Raises:
        NotFoundError: There is none, and nothing may be written.
        UnsupportedError: Another version of orlop made it.
        OSError: It cannot be opened or made.
    """

    def __init__(
        self,
        places: Places,
        *,
        read_only: bool = False,
        driver: StorageDriver | None = None,
        additional: Sequence[Places] = (),
    ) -> None:
        self._storage = Storage.open(
            places, read_only=read_only, driver=driver, additional=additional
        )

    @property
    def root(self) -> Path:
        """Where the store is."""
        return self._storage.places.root

    @property
    def run(self) -> Path:
        """Where its mount points are."""
        return self._storage.places.run

    @property
    def storage(self) -> Storage:
        """What it is made of, for operations that work on several stores or places."""
        return self._storage

    @property
    def layers(self) -> LayerStore:
        """The layers: those of images, and those that are made, mounted and written to here."""
        return self._storage.layers

    @property
    def containers(self) -> ContainerStore:
        """The containers: made from images, mounted, changed and committed to images."""
        return self._storage.containers

    @property
    def stored_images(self) -> StoredImageStore:
        """The images as top layers with data beside them, those without a manifest among them."""
        return self._storage.images

    def close(self) -> None:
        """Let go of the store; mounts and images stay."""
        self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pull(
        self,
        source: str,
        *,
        platform: str | Platform | None = None,
        all_platforms: bool = False,
        tag: str | None = None,
        driver: Driver | None = None,
        jobs: int | None = None,
        limits: LayerLimits | None = None,
        options: SourceOptions | None = None,
        progress: ProgressCallback | None = None,
    ) -> Image:
        """Bring an image into the store; success means that it is whole, durable and mountable.

        What an earlier pull left when it was interrupted is gone on with. What is here is not
        fetched again.

        Args:
            source: A reference to a registry, `oci:DIR[:TAG]`, `oci-archive:FILE`,
                `docker-archive:FILE` or `dir:DIR`.
            platform: Which image of several; this machine's where None.
            all_platforms: Store the other images, too, so that all of it can be copied on; only the
                one that is meant is unpacked.
            tag: The name that the image gets; its own, or one after the place, where None. A name
                that is taken moves here.
            driver: What is to mount it; what suits the machine where None.
            jobs: Layers that are brought in at once, 1 to 64; 3 where None.
            limits: What layers may grow to, and hold.
            options: How registries are reached; anonymously and by HTTPS where None.
            progress: Called with each step.

        Raises:
            InvalidReferenceError: The source or the tag is no reference.
            NotFoundError: There is no such image, or none for the platform.
            UnsupportedError: The image is of a kind, or the driver one, that cannot be had here.
            RegistryError: The registry refuses, or cannot be reached.
            VerificationError: What came is not what was promised; nothing was named.
            InvalidError: What came is broken; nothing was named.
            LimitExceededError: What came is too large; nothing was named.
            UnsafePathError: A layer is hostile; nothing was named.
            OSError: Something could not be written; what came is kept for the next time.
        """
        from orlop.store.bring import Bringing, bring_in
        from orlop.transfer import Reporter, SourceOptions, open_image

        name = None if tag is None else name_of(tag)
        how = Bringing(
            pull=self._pull_options(driver, jobs, limits),
            platform=Platform.parse(platform) if isinstance(platform, str) else platform,
            all_platforms=all_platforms,
            report=Reporter(progress),
        )
        options = options or SourceOptions()
        options = replace(options, spool=options.spool or self._storage.places.staging)
        with open_image(source, options) as opened:
            names = (name,) if name else opened.known_names
            return bring_in(self._storage, opened.source, names, how)[0]

    def repack(
        self, path: str | PathLike[str], *names: str, options: RepackOptions | None = None
    ) -> Repacked:
        """Make an image of a directory that `Image.unpack` made, and that was changed since.

            image.unpack("work")
            (Path("work") / "rootfs/etc/motd").write_text("Ahoy!")
            store.repack("work", "debian:ahoy")

        What was changed becomes one layer on those of the image. It is found by what was noted of
        each file, not by reading it; where that says nothing, as in a copy of the directory, files
        are compared byte for byte. Without a change there is no new layer, and the old image gets
        the names. Sockets and what is mounted in the directory are left out.

        Args:
            path: The directory.
            names: What the image is called; a name that is taken moves there.
            options: How; the defaults where None.

        Raises:
            InvalidDocumentError: It was not unpacked here, not to the end, or its notes are
                damaged.
            NotFoundError: The image that it was unpacked from is not stored any more.
            ConflictError: Somebody wrote to the directory meanwhile; nothing was named.
            UnsupportedError: A name begins with `.wh.`, which marks whiteouts; or there are layers
                one by one in the directory.
            OSError: Something could not be read or written.
        """
        from orlop.unpack import repack

        self._storage.require_writable()
        return repack(self._storage, Path(path), names, options)

    def save(
        self,
        names_or_ids: Sequence[str],
        output: str | PathLike[str] | BinaryIO,
        *,
        format: ArchiveFormat = "docker-archive",  # noqa: A002
        platform: str | Platform | None = None,
        all_platforms: bool = False,
        oci: bool = False,
        timestamp: int = 0,
        progress: ProgressCallback | None = None,
    ) -> list[Copied]:
        """Write images into an archive, byte for byte, with all that is stored of them.

            store.save(["debian:12", "alpine"], "images.tar")

        A `docker-archive` is read by Docker, podman, skopeo and containerd, and is an OCI layout as
        well. The same images give the same bytes.

        Args:
            names_or_ids: As for `image`; names of the same image are joined.
            output: A file, which is replaced when the archive is whole; or a file object, which
                may be a pipe.
            format: `docker-archive` or `oci-archive`.
            platform: Of each image, the one for this platform out of several.
            all_platforms: Refuse to leave anything out that an index lists.
            oci: Turn Docker's media types into OCI's, which changes digests.
            timestamp: The time of everything in it, in seconds since 1970.
            progress: Called with each step.

        Raises:
            NotFoundError: There is no such image, or not all of it.
            AmbiguousError: A prefix fits several images.
            UnsupportedError: The format cannot hold such an image.
            VerificationError: What is stored is damaged; the archive is not there.
            OSError: It could not be written; what was there is there still.
        """
        from orlop.store.archives import save
        from orlop.store.options import copy_options

        options = copy_options(
            platform=platform,
            all_platforms=all_platforms,
            oci=oci,
            timestamp=timestamp,
            progress=progress,
        )
        return save(self._storage, names_or_ids, output, options, form=format)

    def load(
        self,
        archive: str | PathLike[str] | BinaryIO,
        *,
        platform: str | Platform | None = None,
        all_platforms: bool = False,
        jobs: int | None = None,
        progress: ProgressCallback | None = None,
    ) -> list[Image]:
        """Bring all images of an archive into the store, and return each under all its names.

        Args:
            archive: A file or directory of any form that is known, compressed or not; or a file
                object, which may be a pipe and is read to its end.
            platform: Of each image, the one for this platform out of several; this machine's
                where None.
            all_platforms: Store the other images of an index, too.
            jobs: Layers that are brought in at once, 1 to 64; 3 where None.
            progress: Called with each step.

        Raises:
            NotFoundError: There is no such file, or an image has none for the platform.
            InvalidError: It is of no known form, or broken; images before the broken one are here.
            UnsupportedError: An image is of a kind that cannot be had here.
            VerificationError: Something is not what it is said to be; it was not named.
            LimitExceededError: Something is too large; it was not named.
            UnsafePathError: A name or a layer is hostile; it was not named.
            OSError: Something could not be read or written.
        """
        from orlop.store.archives import load
        from orlop.store.options import copy_options

        options = copy_options(
            platform=platform, all_platforms=all_platforms, jobs=jobs, progress=progress
        )
        loaded = load(self._storage, archive, options)
        return [image for images, _ in loaded for image in images]

    def run_container(
        self, name: str, args: Sequence[str] = (), options: RunOptions | None = None
    ) -> RunResult:
        """Run a container until it ends, and say how it did.

            store.run_container("debian:12", ["cat", "/etc/os-release"])
            store.run_container("web", options=RunOptions(network="host", timeout=60))

        Args:
            name: The container: its exact ID or name. Else the image, as for `image`, that one is
                made of for this; or else the container that a prefix of an ID means.
            args: What follows the image's entrypoint, instead of its own command.
            options: How it is run. Where None, a container that is made for this is removed
                afterwards, it has no network, and writes to this process's outputs.

        Raises:
            NotFoundError: There is no such image or container, or something in it is missing.
            AlreadyExistsError: The name that it is to have is taken.
            InUseError: The container is running already.
            RuntimeNotFoundError: No OCI runtime is installed.
            RuntimeFailedError: The container's command was not started.
            RunTimeoutError: It ran for too long.
            InvalidError: An option is not what it should be.
            UnsupportedError: This machine cannot, or this user has no right to.
            OSError: Something could not be read or written.
            TypeError: `args` is one text.
        """
        from orlop.runtime import run

        return run(self._storage, name, args, options)

    def images(self, *filters: str) -> list[Image]:
        """The images that any of these filters means, in the order of names; all without one.

        Args:
            filters: In the language of `orlop.filters`, such as `labels.team==sea,size>100MiB`,
                over the fields that `ImageStore.list` has.

        Raises:
            InvalidFilterError: One of them is no filter.
            LimitExceededError: There are too many, or one is too long.
        """
        if not filters:
            with self._storage.database.read() as tx:
                return [Image(self._storage, row) for row in Images(tx).list()]
        from orlop.filters import parse
        from orlop.images.lookup import find_rows

        meant = parse(*filters, now_ns=time.time_ns())
        with self._storage.database.read() as tx:
            return [Image(self._storage, row) for row in find_rows(tx, meant)]

    @property
    def image_store(self) -> ImageStore:
        """The names as bare records, for whoever works with descriptors.

        What is created there should be held by a lease until then, and is mountable only once it
        has been unpacked.
        """
        from orlop.images.store import ImageStore

        host = Platform.of_machine(os.uname().machine)
        return ImageStore(self._storage.database, self._storage.content, platform=host)

    def image(self, name_or_id: str) -> Image:
        """The image that a name, an ID or a unique prefix of an ID means.

        Args:
            name_or_id: Looked up as an exact ID, then as a name, then as a prefix of an ID.

        Raises:
            NotFoundError: There is none.
            AmbiguousError: A prefix fits several images.
        """
        with self._storage.database.read() as tx:
            return Image(self._storage, find_image(tx, name_or_id)[0])

    def remove(self, name_or_id: str, *, force: bool = False) -> list[str]:
        """Take an image's name away, and say which names went.

        Args:
            name_or_id: As for `image`.
            force: Take all the names of an ID away, and the last one though containers were made
                from the image.

        Raises:
            NotFoundError: There is no such image.
            AmbiguousError: An ID has several names, which are told; or a prefix fits several.
            InUseError: It is the last name, and containers were made from the image.
        """
        return with_reserve(
            self._storage.places, lambda: remove_names(self._storage, name_or_id, force=force)
        )

    def tag(self, name_or_id: str, *names: str) -> list[Image]:
        """Give an image more names, all or none, and return it under each.

        Args:
            name_or_id: As for `image`.
            names: References; `latest` is the tag of one that has none. One that is taken moves
                here.

        Raises:
            InvalidReferenceError: A name is no reference, or has a digest.
            NotFoundError: There is no such image.
            AmbiguousError: A prefix fits several images.
        """
        return [Image(self._storage, row) for row in add_names(self._storage, name_or_id, names)]

    def untag(self, name: str) -> str:
        """Take one name away, whatever else the image is called, and say it in full.

        Raises:
            NotFoundError: No image is called that; an ID is no name.
            InUseError: It is the last name, and containers were made from the image.
        """
        return with_reserve(self._storage.places, lambda: remove_name(self._storage, name))

    def label(self, name_or_id: str, labels: Mapping[str, str]) -> Image:
        """Set labels of an image's name, all or none; those that are not named stay.

        Args:
            name_or_id: As for `image`.
            labels: Values by key; an empty value takes a label away. Those under
                `containerd.io/gc.` tell the collector what to keep, and until when.

        Raises:
            NotFoundError: There is no such image.
            AmbiguousError: An ID has several names, which are told; or a prefix fits several.
            InvalidError: A label is none, too long, or one that the collector could not obey.
        """
        return Image(self._storage, set_labels(self._storage, name_or_id, labels))

    def lease(
        self,
        purpose: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        id: str | None = None,  # noqa: A002
        expires: float | None = None,
        until: Until = "process",
    ) -> Lease:
        """Begin a lease: what is put under it is not collected until it ends.

            with store.lease("build", expires=3600) as lease:
                store.leases.hold(lease.id, "debian:12")

        Args:
            purpose: What it is for.
            labels: What else is noted about it; those under `containerd.io/gc.` tell `collect`.
            id: Its name; a random one where None. One whose lease has ended is free again.
            expires: Seconds after which it ends, whatever else; None for never.
            until: What else it ends with: this `process`, this `boot` of the machine, or nothing
                but its `expiry`. The end of its block ends it too, unless it was detached.

        Raises:
            AlreadyExistsError: There is a lease of this name.
            InvalidError: The name is none, or a label is.
        """
        return Lease(
            self._storage.database, purpose, labels=labels, id=id, expires=expires, until=until
        )

    @property
    def leases(self) -> StoreLeases:
        """The leases that there are, to list them, to keep more by one, and to end one."""
        from orlop.store.leases import StoreLeases

        return StoreLeases(self._storage.database)

    @overload
    def content(self) -> RecordedContent: ...
    @overload
    def content(self, lease: Lease) -> LeasedContent: ...
    def content(self, lease: Lease | None = None) -> RecordedContent:
        """The blobs by digest: read, listed, labelled; and with a lease, stored.

            with store.lease("notes") as lease:
                digest = store.content(lease).put(b"...", labels={"kind": "note"})

        Args:
            lease: What keeps new content until an image, a label or another lease does.
        """
        from orlop.metadata.content import LeasedContent
        from orlop.metadata.recorded import RecordedContent

        storage = self._storage
        if lease is None:
            return RecordedContent(storage.content, storage.database)
        return LeasedContent(storage.content, storage.database, lease)

    def _pull_options(
        self, driver: Driver | None, jobs: int | None, limits: LayerLimits | None
    ) -> PullOptions:
        from orlop.transfer import DEFAULT_JOBS, PullOptions

        if driver == "overlay":  # whose directories only root can make
            self._mountables.check_right(driver)
        return PullOptions(
            driver=driver or self._mountables.best_driver(),
            jobs=DEFAULT_JOBS if jobs is None else jobs,
            limits=limits,
        )

    @property
    def _mountables(self) -> Mountables:
        return self._storage.mountables
