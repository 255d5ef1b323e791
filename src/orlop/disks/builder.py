"""Images made into disks and kept: pulled or imported, built once, found again."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, Self, TypeAlias

from orlop.disks.oci import OCIConfig
from orlop.disks.options import DiskOptions
from orlop.disks.result import BuildResult, ImageMeta
from orlop.disks.store import Store
from orlop.errors import (
    CreateExt4Error,
    CreateTempError,
    DiskError,
    ExtractError,
    ImageDigestError,
    InvalidDocumentError,
    InvalidLayerError,
    InvalidReferenceError,
    LimitExceededError,
    OrlopError,
    ParseReferenceError,
    PullImageError,
    TarballError,
    ToolNotFoundError,
    UnsafePathError,
    UnsupportedError,
    VerificationError,
)
from orlop.metadata import Blobs
from orlop.platform import Platform
from orlop.storage.chains import Stack
from orlop.storage.lookup import find_image
from orlop.storage.staging import staging_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from orlop.disks.make import DiskProgress
    from orlop.disks.result import LayerRef, Source
    from orlop.metadata import Lease
    from orlop.metadata.leases import Kind
    from orlop.storage.build import LayerLimits
    from orlop.transfer import ImageSource, ProgressCallback, Selection, SourceOptions

PullPolicy: TypeAlias = Literal["missing", "always", "never"]
"""When an image is fetched: where it is neither built nor in the store, each time, or never."""

_PIECE: Final = 1 << 20
_FAULTS = (InvalidLayerError, LimitExceededError, UnsafePathError)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How images become disks.

    Attributes:
        cache_dir: The store; where orlop has it where None.
        run_dir: Its mount points, likewise.
        pull: When images are fetched.
        platform: Which image of several, such as `linux/arm64`; this machine's where None.
        disk: What the disks are to be like.
        canonical: Whether there is a disk for each layer, too, where a machine attaches one that
            shows everything.
        jobs: Layers that are fetched at once; 3 where None.
        source: How registries are reached; anonymously and by HTTPS where None.
        limits: What layers may grow to, and hold.
        on_pull: Called with each step of a pull.
        on_write: Called again and again while disks are written.
    """

    cache_dir: str | PathLike[str] | None = None
    run_dir: str | PathLike[str] | None = None
    pull: PullPolicy = "missing"
    platform: str | Platform | None = None
    disk: DiskOptions = field(default_factory=DiskOptions)
    canonical: bool = False
    jobs: int | None = None
    source: SourceOptions | None = None
    limits: LayerLimits | None = None
    on_pull: ProgressCallback | None = None
    on_write: Callable[[DiskProgress], object] | None = None

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            ValueError: There is no such policy, or no layer would be fetched at once.
        """
        if self.pull not in {"missing", "always", "never"}:
            raise ValueError(f"{self.pull!r} is none of missing, always and never")
        if self.jobs is not None and self.jobs < 1:
            raise ValueError(f"{self.jobs} layers at once: 1 or more")
        if self.disk.beside:
            raise ValueError("disks that are kept have their hash tree behind the filesystem")


class Builder:
    """Makes images into disks, and keeps them; a context manager.

        with Builder(BuildOptions(disk=DiskOptions(layout="layers"))) as builder:
            result = builder.build("docker.io/library/debian:12")
            attach(result.lower_paths, result.lower_fs_types)

    Args:
        options: How.

    Raises:
        CreateDirError: The store cannot be made or opened.
        ValueError: The platform is none.
    """

    def __init__(self, options: BuildOptions | None = None) -> None:
        self.options = options or BuildOptions()
        wanted = self.options.platform
        self._platform = Platform.parse(wanted) if isinstance(wanted, str) else wanted
        self._store = Store(self.options.cache_dir, self.options.run_dir)
        self._registry = Store(storage=self._store.storage, scope="registry")

    @property
    def store(self) -> Store:
        """The tags that were given here."""
        return self._store

    def close(self) -> None:
        """Let go of the store; everything stays."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def build(self, reference: str) -> BuildResult:
        """The disks of an image: those that there are, or new ones.

        They are found by tag first, then by reference, platform and options. An image of this name
        that the store has is not fetched either, unless the policy is to fetch always.

        Args:
            reference: What `orlop pull` takes: a reference to a registry, or `oci:DIR[:TAG]` and
                its like; or a tag that was given here.

        Raises:
            ParseReferenceError: It is no reference.
            PullImageError: The image could not be fetched, or may not be.
            ImageDigestError: Its manifest or config is missing or broken.
            ExtractError: A layer is broken, hostile or too large.
            CreateExt4Error: A disk could not be written.
            ToolNotFoundError: What writes it is missing.
            StoreSaveError: The record could not be kept.
            MetadataError: The record of an earlier build is broken.
        """
        if self.options.pull != "always":
            found = self._find(reference)
            if found is not None:
                return found
        with self._store.leased(f"build {reference}") as lease:
            selection = self._from_store(reference, lease) or self._pull(reference, lease)
            return self._make(reference, self._registry, selection, "registry", lease)

    def import_image(self, archive: str | PathLike[str] | BinaryIO, tag: str) -> BuildResult:
        """The disks of the one image in an archive or directory, under a tag.

        Args:
            archive: A file or directory of any form that `orlop load` takes; or a stream, which is
                read to its end.
            tag: What the disks are called; those that had it lose it.

        Raises:
            CreateTempError: There is no room for the archive.
            TarballError: It is none, is broken, or holds another number of images than one.
            ExtractError: As for `build`, like all others.
        """
        with (
            self._store.leased(f"import {tag}") as lease,
            self._archive(archive, lease) as path,
            self._open_archive(path) as source,
        ):
            selection = self._select(source, str(path), TarballError)
            self._fetch(source, selection, lease, TarballError)
            return self._make(tag, self._store, selection, "import", lease)

    def save_tag(self, tag: str, result: BuildResult) -> None:
        """Give disks one more tag; raises as `Store.save`.

        Args:
            tag: What they are called.
            result: Where they are.
        """
        layers = result.canonical_layers or result.layers
        runtime = result.lower_paths[0] if result.layers != layers else None
        meta = ImageMeta(
            digest=result.digest, source="tag", oci=result.oci, runtime_rootfs_path=runtime
        )
        self._store.save(tag, layers, meta)

    def _key(self) -> str:
        disk = self.options.disk
        words = (
            str(self._platform or _host()), disk.layout, str(disk.max_disks), disk.key(),
            "canonical" if self.options.canonical else "",
        )  # fmt: skip
        return " ".join(words)

    def _find(self, reference: str) -> BuildResult | None:
        tagged = self._store.find(reference)
        if tagged is not None and set(tagged.lower_fs_types) == {self.options.disk.fs}:
            return tagged
        return self._registry.find(reference, key=self._key(), whole=True)

    def _from_store(self, reference: str, lease: Lease) -> Selection | None:
        """The image of this name that the store has; None where it is to be fetched."""
        source = self._stored(reference) if self.options.pull != "always" else None
        if source is None:
            return None
        try:
            selection = self._select(source, reference)
            self._fetch(source, selection, lease)
        except PullImageError:
            if self.options.pull == "never":
                raise
            return None  # What is damaged here may be whole where it came from.
        return selection

    def _pull(self, reference: str, lease: Lease) -> Selection:
        if self.options.pull == "never":
            raise PullImageError(
                f"{reference} is neither built nor in the store, and may not be fetched",
                hint="pull it, or let it be fetched when it is missing",
            )
        from orlop.transfer import open_image

        try:
            with open_image(reference, self._source_options()) as opened:
                selection = self._select(opened.source, reference)
                self._fetch(opened.source, selection, lease)
                return selection
        except InvalidReferenceError as error:
            raise ParseReferenceError(str(error), hint=error.hint) from error
        except DiskError:
            raise
        except (OrlopError, OSError) as error:
            raise PullImageError(f"{reference}: {error}", hint=_hint(error)) from error

    def _stored(self, reference: str) -> ImageSource | None:
        """The image of this name, if the store has one with all its layers for the platform."""
        import json

        from orlop.spec.descriptor import Descriptor
        from orlop.transfer import StoreSource, select

        storage = self._store.storage
        try:
            with storage.database.read() as tx:
                row = find_image(tx, reference)[0]
            target = Descriptor.decode(json.loads(row.target))
            source = StoreSource(storage.content, target, (row.name,))
            selection = select(source, _host(), self._platform)
            with storage.database.read() as tx:
                here = [Blobs(tx).get(each.digest) for each in selection.manifest.layers]
        except OrlopError:
            return None
        return source if all(here) else None

    def _source_options(self) -> SourceOptions:
        from orlop.transfer import SourceOptions

        options = self.options.source or SourceOptions()
        return replace(options, spool=options.spool or self._store.storage.places.staging)

    def _select(
        self, source: ImageSource, what: str, fault: type[DiskError] = PullImageError
    ) -> Selection:
        from orlop.transfer import select

        try:
            return select(source, _host(), self._platform)
        except (InvalidDocumentError, VerificationError) as error:
            raise ImageDigestError(f"{what}: {error}", hint=error.hint) from error
        except (OrlopError, OSError) as error:
            raise fault(f"{what}: {error}", hint=_hint(error)) from error

    def _fetch(
        self,
        source: ImageSource,
        selection: Selection,
        lease: Lease,
        fault: type[DiskError] = PullImageError,
    ) -> None:
        from orlop.transfer import DEFAULT_JOBS, Pull, PullOptions, Reporter

        options = PullOptions(
            driver="erofs", jobs=self.options.jobs or DEFAULT_JOBS, limits=self.options.limits
        )
        report = Reporter(self.options.on_pull)
        try:
            Pull(self._store.storage, source, lease, options, report).run(selection, ())
        except _FAULTS as error:
            raise ExtractError(str(error), hint=error.hint) from error
        except (OrlopError, OSError) as error:
            raise fault(str(error), hint=_hint(error)) from error

    def _make(
        self, tag: str, store: Store, selection: Selection, source: Source, lease: Lease
    ) -> BuildResult:
        stack = Stack.of(selection.config.diff_ids)
        layers, cached = self._obtain(stack, self.options.disk, lease)
        canonical = layers
        if self.options.canonical and self.options.disk.layout != "layers":
            canonical, there = self._obtain(stack, _per_layer(self.options.disk), lease)
            cached = cached and there
        runtime = layers[0] if canonical is not layers else None
        meta = ImageMeta(
            digest=selection.manifest_descriptor.digest,
            source=source,
            oci=OCIConfig.of(selection.config.config),
        )
        kept: tuple[tuple[Kind, str], ...] = (
            ("blob", selection.manifest_descriptor.digest),
            ("chain", stack.chain_id),
        )
        found = store.put(
            tag, canonical, runtime, meta, lease,
            key=self._key() if source == "registry" else "", items=kept,
        )  # fmt: skip
        return replace(found, cached=cached)

    def _obtain(
        self, stack: Stack, options: DiskOptions, lease: Lease
    ) -> tuple[tuple[LayerRef, ...], bool]:
        blobs = self._store.blobs
        try:
            return blobs.obtain(stack, options, lease, self.options.on_write)
        except UnsupportedError as error:
            if _is_missing(error):
                raise ToolNotFoundError(str(error), hint=error.hint) from error
            raise CreateExt4Error(str(error), hint=error.hint) from error
        except (OrlopError, OSError) as error:
            raise CreateExt4Error(
                f"a disk cannot be written: {error}", hint=_hint(error)
            ) from error

    @contextmanager
    def _archive(self, archive: str | PathLike[str] | BinaryIO, lease: Lease) -> Iterator[Path]:
        """A file or directory; of a stream a copy, which no collector takes for garbage."""
        if isinstance(archive, (str, os.PathLike)):
            yield Path(archive)
            return
        with ExitStack() as stack:
            try:
                path = (
                    stack.enter_context(staging_directory(self._store.storage.places, lease.id))
                    / "archive"
                )
                file = stack.enter_context(open(path, "xb"))
            except OSError as error:
                raise _no_room(error) from error
            while piece := _read(archive):
                try:
                    file.write(piece)
                    file.flush()
                except OSError as error:
                    raise _no_room(error) from error
            yield path

    @contextmanager
    def _open_archive(self, path: Path) -> Iterator[ImageSource]:
        from orlop.transfer import open_archive

        try:
            with open_archive(path, self._source_options()) as images:
                if len(images) != 1:
                    raise TarballError(
                        f"{path} holds {len(images)} images, and not one",
                        hint="say which one: as oci-archive:FILE:TAG, to be built",
                    )
                yield images[0].source
        except DiskError:
            raise
        except (OrlopError, OSError) as error:
            raise TarballError(f"{path}: {error}", hint=_hint(error)) from error


def _read(stream: BinaryIO) -> bytes:
    try:
        return stream.read(_PIECE)
    except OSError as error:
        raise TarballError(f"the archive cannot be read to its end: {error}") from error


def _no_room(error: OSError) -> CreateTempError:
    return CreateTempError(
        f"there is no room for the archive: {error}", hint="free some space where the store is"
    )


def _per_layer(options: DiskOptions) -> DiskOptions:
    """The canonical disks beside others: erofs, as far as it can like these."""
    if options.fs == "erofs":
        return replace(options, layout="layers", uuid=None)
    return DiskOptions(layout="layers", verity=options.verity, salt=options.salt)


def _host() -> Platform:
    return Platform.of_machine(os.uname().machine)


def _is_missing(error: UnsupportedError) -> bool:
    """Whether something has to be installed, which the hint says then."""
    return bool(error.hint and "install" in error.hint)


def _hint(error: BaseException) -> str | None:
    return error.hint if isinstance(error, OrlopError) else None
