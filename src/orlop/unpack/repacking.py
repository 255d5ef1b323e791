"""Make an image of a directory that another one was unpacked into, and that was changed since."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

from orlop.errors import (
    InvalidDocumentError,
    NotFoundError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.metadata import Lease
from orlop.reference import Reference
from orlop.spec import History
from orlop.storage.chains import Stack
from orlop.storage.layers.members import iter_members
from orlop.storage.layers.tarball import compress_blob, take_entries
from orlop.storage.rebuild import ensure_form
from orlop.storage.stored.assemble import documents_of, store_as_is, store_documents
from orlop.storage.stored.entry import record_image
from orlop.storage.stored.facts import image_in, read_facts
from orlop.storage.tars import LayerTars
from orlop.timestamp import format_timestamp
from orlop.tree import difference, lookup
from orlop.unpack.access import Access
from orlop.unpack.contents import Contents
from orlop.unpack.scan import Scanner
from orlop.unpack.state import DOCUMENT, ROOTFS, State, read_records, read_state, write_state
from orlop.unpack.stats import forget_recent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orlop.compression import CompressionName
    from orlop.digest import Digest
    from orlop.spec import ImageConfig, Manifest
    from orlop.storage.layers.members import Member
    from orlop.storage.storage import Storage
    from orlop.storage.stored.record import StoredImage
    from orlop.unpack.scan import Skipped

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SECOND: Final = 10**9
_TICK_NS: Final = 20_000_000
"""What the clock that files are stamped by may be behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackOptions:
    """How a directory is repacked.

    Attributes:
        hash: Compare the content of every file, and trust no record.
        compression: How the new layer is stored and pushed: `gzip`, `zstd` or `none`.
        author: Who made the change; the image's author then.
        comment: What is to be said of it in the history.
        created_by: The command that made it.
        created_at_ns: When, in nanoseconds since 1970; now where None.
        source_date_epoch: Seconds since 1970: when it was made, unless `created_at_ns` says
            otherwise, and the latest time that what was changed has in the layer.
        refresh: Take the directory for the new image's from now on, so that the next layer goes on
            top of this one.
    """

    hash: bool = False
    compression: CompressionName = "gzip"
    author: str | None = None
    comment: str | None = None
    created_by: str | None = None
    created_at_ns: int | None = None
    source_date_epoch: int | None = None
    refresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Repacked:
    """What came of a directory.

    Attributes:
        image: The image: a new one, or the old one where nothing was changed.
        layer: The diffID of the new layer; None where nothing was changed.
        size: The bytes of that layer, uncompressed.
        entries: How many entries it has.
        skipped: What is in the directory and in no image: sockets, and what is mounted.
    """

    image: StoredImage
    layer: Digest | None
    size: int
    entries: int
    skipped: tuple[Skipped, ...]


def repack(
    storage: Storage, path: Path, names: Sequence[str], options: RepackOptions | None = None
) -> Repacked:
    """Make an image of an unpacked directory; see `Store.repack`."""
    wanted = [str(Reference.parse(name).with_default_tag()) for name in names]
    dir_fd = os.open(path, _OPEN)
    try:
        state = _state(dir_fd, path)
        if state is None:
            state = _umoci_state(dir_fd, path, storage)
            options = replace(options or RepackOptions(), hash=True)
        rootfs_fd = _open_rootfs(dir_fd, path)
        try:
            with Lease(storage.database, f"repack {path}") as lease:
                repacker = _Repacker(storage, state, lease, options or RepackOptions())
                return repacker.repack(dir_fd, rootfs_fd, wanted)
        finally:
            os.close(rootfs_fd)
    finally:
        os.close(dir_fd)


def _open_rootfs(dir_fd: int, path: Path) -> int:
    try:
        return os.open(ROOTFS, _OPEN | os.O_NOFOLLOW, dir_fd=dir_fd)
    except NotADirectoryError:
        raise UnsafePathError(
            "is no directory, and a link is not followed",
            where=str(path / ROOTFS),
            hint="put the directory itself there, or unpack the image again",
        ) from None


def _umoci_state(dir_fd: int, path: Path, storage: Storage) -> State:
    from orlop.unpack.umoci import read_umoci

    state = read_umoci(dir_fd, storage.content)
    if state is None:
        above = path.absolute().parent
        hint = "unpack an image into a new directory"
        if path.name == ROOTFS and (above / DOCUMENT).exists():
            hint = f"name the directory above: {above}"
        raise InvalidDocumentError(f"{path} was not made by `orlop unpack`", hint=hint)
    return state


def _state(dir_fd: int, path: Path) -> State | None:
    state = read_state(dir_fd)
    if state is not None and state.form != "rootfs":
        raise UnsupportedError(
            f"{path} has the layers of an image one by one, and cannot be repacked",
            hint="unpack the image without --layer and --stacked",
        )
    return state


class _Repacker:
    def __init__(
        self, storage: Storage, state: State, lease: Lease, options: RepackOptions
    ) -> None:
        self._storage = storage
        self._state = state
        self._lease = lease
        self._options = options
        self._stack = Stack.of(state.diff_ids)

    def repack(self, dir_fd: int, rootfs_fd: int, names: Sequence[str]) -> Repacked:
        manifest, config = self._documents()
        epoch = self._options.source_date_epoch
        with Access(rootfs_fd) as access, LayerTars(self._storage.forms) as tars:
            scanner = Scanner(
                rootfs_fd,
                old := self._storage.chains.tree(self._stack),
                None if self._options.hash else read_records(dir_fd),
                kept=self._state.kept,
                latest_ns=None if epoch is None else epoch * _SECOND,
                access=access,
            )
            new = scanner.read()
            with Contents(scanner, access, tars) as contents:
                changes = difference(old, new, contents.same)
                members = iter_members(changes, partial(lookup, old, follow_last=False))
                made = self._make(manifest, config, members, contents)
        size, entries, layer = 0, 0, None
        if made is not None:
            manifest, config, layer, size, entries = made
        image = self._name(manifest, config, names)
        if self._options.refresh:
            self._refresh(dir_fd, scanner, manifest, config, names)
        return Repacked(
            image=image, layer=layer, size=size, entries=entries, skipped=tuple(scanner.skipped)
        )

    def _documents(self) -> tuple[Manifest, ImageConfig]:
        """Those of the image that was unpacked; they and its layers are kept from now on."""
        state = self._state
        try:
            manifest, config = documents_of(self._storage, state.manifest, state.config)
            assert manifest is not None
            assert config is not None
            self._lease.hold("chain", self._stack.chain_id)
            store_as_is(self._storage, self._lease, manifest, config)
            for at in range(len(self._stack.diff_ids)):
                ensure_form(self._storage, self._stack, at, "tar", self._lease)
        except NotFoundError as error:
            raise NotFoundError(
                f"{state.image}, of which the directory was unpacked, is not in the store any "
                f"more: {error}",
                hint=f"pull it again; its manifest is {state.manifest}",
            ) from None
        if config.diff_ids != state.diff_ids:
            raise InvalidDocumentError("names other layers than its image has", where="orlop.json")
        return manifest, config

    def _make(
        self,
        manifest: Manifest,
        config: ImageConfig,
        members: Iterator[Member],
        contents: Contents,
    ) -> tuple[Manifest, ImageConfig, Digest, int, int] | None:
        """The documents of the new image, and its layer; None where nothing was changed."""
        first = next(members, None)
        if first is None:
            contents.verify()
            return None
        taken = take_entries(
            self._storage, chain([first], members), contents.open, self._lease
        )  # fmt: skip
        contents.verify()
        blob = compress_blob(self._storage, taken, self._lease, self._options.compression)
        config = self._config(config, taken.diff_id)
        blobs = [*manifest.layers, blob]
        made = store_documents(self._storage, self._lease, config, blobs, manifest)
        return made, config, taken.diff_id, taken.size, len(taken.changeset)

    def _config(self, base: ImageConfig, layer: Digest) -> ImageConfig:
        said = self._options
        moment = said.created_at_ns
        if moment is None and said.source_date_epoch is not None:
            moment = said.source_date_epoch * _SECOND
        now = format_timestamp(time.time_ns() if moment is None else moment)
        step = History(
            created=now,
            author=said.author,
            created_by=said.created_by or "orlop repack",
            comment=said.comment,
        )
        return replace(
            base,
            diff_ids=(*base.diff_ids, layer),
            created=now,
            author=said.author or base.author,
            history=(*base.history, step),
        )

    def _name(self, manifest: Manifest, config: ImageConfig, names: Sequence[str]) -> StoredImage:
        with self._storage.database.write() as tx:
            self._lease.require_in(tx)
            facts = read_facts(tx, record_image(tx, config, manifest, names))
            assert facts is not None
            return image_in(tx, facts)

    def _refresh(
        self,
        dir_fd: int,
        scanner: Scanner,
        manifest: Manifest,
        config: ImageConfig,
        names: Sequence[str],
    ) -> None:
        state = replace(
            self._state,
            image=names[0] if names else self._state.image,
            manifest=manifest.descriptor().digest,
            config=manifest.config.digest,
            diff_ids=config.diff_ids,
        )
        forget_recent(scanner.stats, scanner.began_ns - _TICK_NS)
        write_state(dir_fd, state, scanner.stats)
