"""An image of a store, as an application holds it."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, cast

from orlop.errors import InvalidPlatformError, NotFoundError, UnsafePathError
from orlop.metadata import Images, Lease, MountSubject
from orlop.metadata.owner import Owner
from orlop.platform import Platform
from orlop.storage.places import writing_to
from orlop.store.editable import Editable
from orlop.store.mount import Mount
from orlop.store.naming import remove_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from orlop.digest import Digest
    from orlop.disks import Disk, DiskOptions, DiskProgress
    from orlop.editing.snapshot import Snapshot
    from orlop.metadata import ImageRow
    from orlop.spec.config import ImageConfig
    from orlop.spec.descriptor import Descriptor
    from orlop.spec.manifest import Manifest
    from orlop.storage.chains import Stack
    from orlop.storage.files import ImageFiles
    from orlop.storage.mountable import Driver, Mountable
    from orlop.storage.storage import Storage
    from orlop.store.check import ImageCheck
    from orlop.store.draft import ImageDraft
    from orlop.tree import Node
    from orlop.unpack import Unpacked, UnpackProgress


class Image(Editable):
    """A named image of a store.

    It is what the name meant when it was looked up; what the store does later does not change it.
    Paths inside it are text or bytes; text is encoded as UTF-8.
    """

    def __init__(self, storage: Storage, record: ImageRow) -> None:
        self._storage = storage
        self._record = record

    def __repr__(self) -> str:
        return f"<Image {self.name} {self.id}>"

    @property
    def name(self) -> str:
        """The name, in full."""
        return self._record.name

    @property
    def names(self) -> list[str]:
        """All names that the store has for this ID now, in their order."""
        with self._storage.database.read() as tx:
            return [record.name for record in Images(tx).with_id(self.id)]

    @property
    def id(self) -> Digest:
        """The image ID: the digest of the config."""
        return self._record.image_id

    @property
    def labels(self) -> dict[str, str]:
        """What is noted about the name, by key; not the labels in the config."""
        return dict(self._record.labels)

    @property
    def size(self) -> int:
        """Bytes of all its blobs, as they are stored (compressed)."""
        return self._record.size

    @property
    def created_at_ns(self) -> int:
        """When the name was first given, in nanoseconds since 1970."""
        return self._record.created_at_ns

    @property
    def updated_at_ns(self) -> int:
        """When the name was last given or moved, in nanoseconds since 1970."""
        return self._record.updated_at_ns

    @property
    def platform(self) -> Platform | None:
        """What it runs on; as its config has it where no specifier can say that.

        None where that is not known: what the name stands for is no image, or was not here when it
        got the name.
        """
        if not self._record.platform:
            return None
        try:
            return Platform.parse(self._record.platform)
        except InvalidPlatformError:
            return self.config.platform

    @cached_property
    def target(self) -> Descriptor:
        """What the name was resolved to: an index, or the manifest."""
        from orlop.spec.descriptor import Descriptor

        return Descriptor.decode(json.loads(self._record.target))

    @property
    def manifest_digest(self) -> Digest:
        """The digest of the manifest."""
        return self._record.manifest_digest or self._record.target_digest

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest.

        Raises:
            NotFoundError: It is missing from the store.
            UnsupportedError: The name stands for something else than an image.
            VerificationError: It is damaged.
        """
        from orlop.images.choice import choose
        from orlop.spec.document import require_document_type
        from orlop.spec.manifest import Manifest

        if self._record.manifest_digest is None:  # What it stands for may have come later.
            require_document_type(self.target.media_type)
            self.read_target()
            host = Platform.of_machine(os.uname().machine)
            return choose(self._storage.content, self.target, host).manifest
        return Manifest.decode(self._document(self.manifest_digest))

    @cached_property
    def config(self) -> ImageConfig:
        """The config.

        Raises:
            NotFoundError: It is missing from the store.
            UnsupportedError: The name stands for something else than an image.
            VerificationError: It is damaged.
        """
        from orlop.images.choice import decode_config

        config = self.manifest.config
        return decode_config(config, self._document(config.digest))

    def of_platform(self, platform: str | None = None) -> Image:
        """The image of this name for a platform; this one, if it is for that.

        A name that stands for an index of several stands for another of them from now on, as after
        a pull; nothing is fetched.

        Args:
            platform: Such as `linux/arm64`; where None, what it is for already, or else what suits
                this machine.

        Raises:
            NotFoundError: There is no image for the platform, or not all of it is here.
            ConflictError: The name has been moved or removed since the image was looked up.
            InvalidPlatformError: The platform is none.
            OSError: Something could not be read or written.
        """
        if platform is None and self._record.platform:
            return self
        from orlop.transfer import choose_stored

        row = choose_stored(self._storage, self._record, platform)
        return self if row is self._record else Image(self._storage, row)

    def read_target(self) -> bytes:
        """What the name was resolved to, an index or a manifest, byte for byte.

        Raises:
            NotFoundError: It is missing from the store.
            VerificationError: It is damaged.
        """
        return self._document(self.target.digest)

    def check(self, *, verify: bool = True, all_platforms: bool = False) -> ImageCheck:
        """Find out whether all that the image needs is stored, and undamaged.

        Args:
            verify: Read every blob; otherwise only lengths are compared.
            all_platforms: Whether all images of an index are needed, or this one alone.

        Returns:
            What was found, true where nothing is missing or damaged.

        Raises:
            OSError: Something could not be read.
        """
        from orlop.store.check import ImageChecker

        checker = ImageChecker(self._storage, verify=verify, all_platforms=all_platforms)
        return checker.check(self.name, self.target, self.manifest_digest)

    def mount(
        self,
        target: str | PathLike[str] | None = None,
        *,
        driver: Driver | None = None,
        keep: bool = False,
    ) -> Mount:
        """Show the image as a read-only directory.

            with image.mount() as rootfs:
                print((rootfs / "etc/os-release").read_text())

        Args:
            target: An existing directory to show it at; None for a place of orlop's own, which
                all who ask for it share.
            driver: What mounts it; what is there already, or what suits the machine, where None.
            keep: Outlive this process, until somebody unmounts it.

        Raises:
            AlreadyExistsError: Something of this store is mounted at the target.
            NotFoundError: A layer's blob is missing from the store.
            UnsupportedError: A target or a driver needs the right to mount, or another kernel.
            OSError: The target is missing or no directory, or something could not be written.
        """
        from pathlib import Path

        self._storage.mountables.check_right(driver)
        with self._lease("mount") as lease:
            with writing_to(self._storage.places.root):
                mountable = self._mountable(driver, lease)
            if mountable.driver == "directory" and not self._storage.mountables.can_mount:
                if target is not None:
                    raise self._storage.mountables.refuse_target(mountable)
                return Mount(self._storage, mountable.paths[0], None, "")
            record, holder = self._storage.mounts.hold(
                MountSubject.of(self._record),
                mountable,
                None if target is None else Path(target),
                owner=None if keep else Owner.current(),
            )
        return Mount(self._storage, Path(record.target), record, holder)

    def disks(
        self,
        output: str | PathLike[str],
        options: DiskOptions | None = None,
        *,
        progress: Callable[[DiskProgress], object] | None = None,
    ) -> list[Disk]:
        """Write the image as disks for virtual machines; all are whole and durable, or none is.

            image.disks("root.ext4", DiskOptions(fs="ext4", free=1 << 30))
            image.disks("layer.erofs", DiskOptions(layout="layers"))   # layer.0.erofs …

        The same image and options give the same bytes. Neither privilege nor a mount is needed,
        nor a store that may be written to, where the layers are unpacked as tars.

        Args:
            output: A file, which is replaced, or a block device, which is not in use. Of several
                disks each is a file of its own, with its number before the suffix, the base 0.
            options: What they are to be like; one EROFS, not compressed, where None.
            progress: Called again and again; what it raises stops the work.

        Returns:
            The disks, in the order in which the layers lie on each other.

        Raises:
            NotFoundError: A layer is lost, or there is no such directory.
            UnsafePathError: The output is no place for them: a directory or a FIFO, in the store,
                or one block device for several.
            InvalidError: Something in the image cannot be in such a filesystem.
            LimitExceededError: Something is longer or more than it can hold, or the image larger
                than the disk.
            UnsupportedError: A library or program is missing, or something has no place in it.
            InUseError: The block device is in use.
            OSError: Something could not be read or written.
        """
        from pathlib import Path

        from orlop.disks import DiskMaker, DiskOptions, disk_paths

        folder = Path(os.path.realpath(Path(output).parent))
        if folder.is_relative_to(os.path.realpath(self._storage.places.root)):
            raise UnsafePathError("is in the store itself", where=os.fspath(output))
        maker = DiskMaker(self._storage, self._stack, options or DiskOptions(), progress)
        paths = disk_paths(Path(output), len(maker.slices))
        if self._storage.database.read_only:
            return maker.make(paths, None)
        with self._lease("disk") as lease:
            return maker.make(paths, lease)

    def edit(
        self, *, platform: str | Platform | None = None, timestamp: int | None = None
    ) -> ImageDraft:
        """A draft that begins as this image: a value that is edited, and then saved.

            image.edit().append("rootfs/").with_config(cmd=["/bin/app"]).save("app:1")

        Args:
            platform: Which image of several that are stored; the one that was pulled where None.
            timestamp: The moment that the new image says it was made at, in seconds since 1970;
                now where None.

        Raises:
            NotFoundError: A document is missing, or there is no image for the platform.
            UnsupportedError: The name stands for something else than an image.
            InvalidPlatformError: The text is no platform.
            OrlopError: A document is broken.
        """
        from orlop.store.draft import ImageDraft

        wanted = Platform.parse(platform) if isinstance(platform, str) else platform
        return ImageDraft.of(self._storage, self.snapshot(wanted), timestamp=timestamp)

    def snapshot(self, platform: Platform | None = None) -> Snapshot:
        """Its documents, or those of another image of its index; raises as `edit`."""
        from orlop.editing.snapshot import snapshot_of

        return snapshot_of(self._storage, self._record, platform)

    def _draft(self) -> ImageDraft:
        return self.edit()

    def unpack(
        self,
        path: str | PathLike[str],
        *,
        layer: int | str | None = None,
        stacked: bool = False,
        progress: Callable[[UnpackProgress], object] | None = None,
    ) -> Unpacked:
        """Write the image into a directory: its files as `rootfs`, beside a note of what they are.

            image.unpack("work")            # work/rootfs; see Store.repack
            image.unpack("layers", stacked=True)  # layers/0, layers/1 … for an overlay

        Root gets exactly what is in the image. Others get files of their own; owners and devices
        are noted as umoci notes them, and `Store.repack` puts them back. Nothing is synced.

        Args:
            path: The directory: an empty one, or one that is not there. It becomes 0700.
            layer: One layer alone, by its number from 0 for the base, its digest or its diffID;
                whiteouts are empty files `.wh.NAME`, as its tar has them.
            stacked: Each layer in a directory of its own, in overlay's form, base first.
            progress: Called again and again while files are made; what it raises stops the work.

        Raises:
            AlreadyExistsError: The directory is not empty; nothing was touched.
            NotFoundError: There is no such layer, or one is lost.
            UnsupportedError: Something of the image cannot be made here.
            OSError: It is no directory, or cannot be written; what was written is removed.
            ValueError: One layer and all of them are wanted.
        """
        from pathlib import Path

        from orlop.unpack import Unpacker, find_layer, state_for

        if layer is not None and stacked:
            raise ValueError("layer and stacked exclude each other")
        diff_ids, layers = self.config.diff_ids, self.manifest.layers
        number = None if layer is None else find_layer(layer, diff_ids, layers)
        state = state_for(
            self._storage,
            image=self.name,
            manifest=self.manifest.descriptor().digest,
            config=self.manifest.config.digest,
            diff_ids=diff_ids,
            form="stacked" if stacked else "rootfs" if layer is None else "layer",
        )
        with self._lease("unpack") as lease:
            unpacker = Unpacker(self._storage, state, lease, progress)
            return unpacker.unpack(Path(path), layer=number)

    def files(self) -> ImageFiles:
        """Its files, read without mounting anything; a context manager.

        Layers whose forms were lost are unpacked again, unless the store is only read.

        Raises:
            NotFoundError: Its layers are not unpacked, and cannot be.
            OSError: Something could not be read or written.
        """
        from orlop.storage.files import is_readable, open_files

        forms, chains = self._storage.forms, self._storage.chains
        if not self._storage.database.read_only and not is_readable(self._stack, forms, chains):
            with self._lease("read") as lease:
                self._unpack("erofs", lease)
        return open_files(self._stack, forms, chains)

    def stat(self, path: str | bytes, *, follow: bool = True) -> Node:
        """What is at a path.

        Raises:
            NotFoundError: There is nothing.
        """
        with self.files() as files:
            return files.stat(_encode(path), follow=follow)

    def list(self, path: str | bytes = b"/") -> list[tuple[bytes, Node]]:
        """The entries of a directory, in byte order of their names.

        Raises:
            NotFoundError: There is no such directory.
        """
        with self.files() as files:
            return files.list(_encode(path))

    def read(self, path: str | bytes) -> bytes:
        """The whole content of a file; `files` has `open` for long ones.

        Raises:
            NotFoundError: There is nothing.
            UnsupportedError: It is no regular file.
        """
        with self.files() as files, files.open(_encode(path)) as file:
            return file.read()

    def remove(self) -> None:
        """Take the name away; what nothing else needs goes with the next collection.

        Raises:
            NotFoundError: It is gone already, or means another image by now.
            InUseError: It is the last name, and containers were made from the image.
        """
        remove_unchanged(self._storage, self._record)

    @cached_property
    def _stack(self) -> Stack:
        from orlop.metadata import Chains
        from orlop.storage.chains import Stack

        chain_id = self._record.chain_id
        if chain_id is not None:
            with self._storage.database.read() as tx:
                diff_ids = Chains(tx).layers(chain_id)
            if diff_ids:
                return Stack(chain_id, tuple(diff_ids))
        return Stack.of(self.config.diff_ids)

    def _document(self, digest: Digest) -> bytes:
        info = self._storage.content.stat(digest)
        if info is None:
            raise NotFoundError(
                f"content {digest} of {self.name} is not stored", hint="pull the image again"
            )
        return self._storage.content.read(digest, info.size)

    def _mountable(self, driver: Driver | None, lease: Lease) -> Mountable:
        """What the image is mounted from, made now if need be."""
        mountables = self._storage.mountables
        if driver is None:
            mounted = self._storage.mounts.find_own(MountSubject.of(self._record))
            wanted = cast("Driver", mounted.driver) if mounted else None
            found = mountables.find(self._stack, wanted) or mountables.find(self._stack)
            if found is not None:
                return found
        driver = driver or mountables.best_driver()
        if mountables.find(self._stack, driver) is None:
            self._unpack(driver, lease)
        return mountables.prepare(self._stack, driver, lease) or mountables.prepare_directory(
            self._stack, lease
        )

    @contextmanager
    def _lease(self, purpose: str) -> Iterator[Lease]:
        """A lease that keeps the image's layers, whatever becomes of its name."""
        with Lease(self._storage.database, f"{purpose} {self.name}") as lease:
            lease.hold("chain", self._stack.chain_id)
            yield lease

    def _unpack(self, driver: Driver, lease: Lease) -> None:
        """Make the forms of the layers that a driver needs, out of their blobs."""
        from orlop.transfer import Pull, PullOptions, Reporter

        pull = Pull(self._storage, None, lease, PullOptions(driver=driver), Reporter(None))
        pull.obtain_layers(self.manifest.layers, self.config.diff_ids)


def _encode(path: str | bytes) -> bytes:
    return path.encode() if isinstance(path, str) else path
