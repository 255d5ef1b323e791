"""What is kept of each layer besides its blob: its forms.

    forms/<algorithm>/<hex>/      by diffID
      tar          the uncompressed layer
      diff/        the layer as a directory in overlay form
      base/        the same, where it is right only below all other layers
      changeset    what the layer does; beside any of them

A form may be used when its record says so: it is durable, or was written in this boot. Otherwise
it is verified first (a tar is hashed, a changeset is), and dropped where that fails or cannot be
done; whoever needs it builds it again from the blob.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import file_digest
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from orlop._sys.process import boot_id
from orlop.digest import Digest
from orlop.errors import InvalidLayerError, NotFoundError
from orlop.metadata.derived import DerivedRecord, Forms
from orlop.storage.staging import publish
from orlop.tree import EncodedChangeset

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from orlop.metadata.database import Database
    from orlop.metadata.lease import Lease
    from orlop.storage.places import Places
    from orlop.storage.unpack import UnpackedLayer

FormKind: TypeAlias = Literal["tar", "diff", "base"]

CHANGESET: Final = "changeset"
_SIZED: Final = ("tar", "diff", "base")
"""The forms whose record says how long the layer is."""
WRITER_VERSION: Final = 1
"""Version of what this module writes; forms of another one are built again."""


def is_disk(kind: str) -> bool:
    """Whether a form is a disk, of which `orlop.disks.blobs` tells more."""
    return kind.startswith("disk.")


def is_whole(path: Path, record: DerivedRecord) -> bool:
    """Whether something is where its record says; of a file, whether it has its length.

    This tells what was cut short or removed, and costs nothing; flipped bits it does not see.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return S_ISDIR(found.st_mode) or found.st_size == record.size


class FormStore:
    """The forms of a store's layers.

    Args:
        places: Where they lie.
        database: Where they are recorded.
        others: The forms of stores that are only read, looked for where there is none here.
    """

    def __init__(
        self, places: Places, database: Database, *, others: tuple[FormStore, ...] = ()
    ) -> None:
        self._places = places
        self._database = database
        self._others = others

    def path(self, diff_id: Digest, kind: str) -> Path:
        """Where a form is, or would be."""
        own = self._places.form(diff_id) / kind
        if self._others and not own.exists():
            for other in self._others:
                path = other.path(diff_id, kind)
                if path.exists():
                    return path
        return own

    def find(self, diff_id: Digest, kind: str) -> DerivedRecord | None:
        """The record of a form that may be used now; None where it must be built.

        A form that may have been lost with the last boot is verified, which reads all of it.
        """
        own = self._find_own(diff_id, kind)
        found = (own, *(other.find(diff_id, kind) for other in self._others if own is None))
        return next((record for record in found if record is not None), None)

    def _find_own(self, diff_id: Digest, kind: str) -> DerivedRecord | None:
        with self._database.read() as tx:
            record = Forms(tx).get(diff_id, kind)
        if record is None or record.writer_version != WRITER_VERSION:
            return None
        path = self._places.form(diff_id) / kind
        if not is_whole(path, record):
            return None
        if record.durable or record.boot_id == boot_id():
            return record
        return record if self._verify(path, record) else None

    def usable(self, diff_id: Digest, *kinds: FormKind) -> FormKind | None:
        """The first of these forms that a layer has, with its changeset; None if it has none."""
        if self.find(diff_id, CHANGESET) is None:
            return None
        return next((kind for kind in kinds if self.find(diff_id, kind) is not None), None)

    def size(self, diff_id: Digest) -> int:
        """Length of the uncompressed layer, in bytes.

        Raises:
            NotFoundError: It has no form here.
        """
        with self._database.read() as tx:
            records = [record for record in Forms(tx).list(diff_id) if record.kind in _SIZED]
        if records:
            return records[0].size
        for other in self._others:
            with suppress(NotFoundError):
                return other.size(diff_id)
        raise NotFoundError(f"layer {diff_id} is not unpacked", hint="pull the image again")

    def changeset(self, diff_id: Digest) -> EncodedChangeset:
        """What a layer does.

        Raises:
            NotFoundError: It is not kept here, or no longer whole.
        """
        with self._database.read() as tx:
            record = Forms(tx).get(diff_id, CHANGESET)
        try:
            data = (self._places.form(diff_id) / CHANGESET).read_bytes()
        except FileNotFoundError:
            record = None
        if record is not None and record.digest == Digest.of(data):
            try:
                return EncodedChangeset(data, diff_id)
            except InvalidLayerError:
                pass
        for other in self._others:
            with suppress(NotFoundError):
                return other.changeset(diff_id)
        raise NotFoundError(
            f"the changeset of layer {diff_id} is missing or damaged", hint="pull the image again"
        )

    def forget_damaged(self, diff_ids: Iterable[Digest]) -> bool:
        """Forget changesets that are missing or damaged, so that they are made again.

        Returns:
            Whether there were any.
        """
        damaged = [diff_id for diff_id in diff_ids if not self._has_changeset(diff_id)]
        with self._database.write() as tx:
            for diff_id in damaged:
                Forms(tx).delete(diff_id, CHANGESET)
        return bool(damaged)

    def _has_changeset(self, diff_id: Digest) -> bool:
        try:
            self.changeset(diff_id)
        except NotFoundError:
            return False
        return True

    def publish(self, layer: UnpackedLayer, built: Path, kind: FormKind, lease: Lease) -> None:
        """Name what was built: a form of this kind, and its changeset.

        The records come first, under the lease, so that no collector takes the files for garbage
        between the two.

        Args:
            layer: What was built.
            built: The file or directory, in a staging directory of its own.
            kind: Which form it is.
            lease: What keeps it until an image does.
        """
        changeset = built.with_name(CHANGESET)
        changeset.write_bytes(layer.changeset)
        records = (
            self._record(layer.diff_id, kind, layer.size, layer.diff_id if kind == "tar" else None),
            self._record(
                layer.diff_id, CHANGESET, len(layer.changeset), Digest.of(layer.changeset)
            ),
        )
        with self._database.write() as tx:
            lease.hold_in(tx, "form", layer.diff_id)
            for record in records:
                Forms(tx).put(record)
        folder = self._places.form(layer.diff_id)
        publish(changeset, folder / CHANGESET)
        publish(built, folder / kind)

    def _record(
        self, diff_id: Digest, kind: str, size: int, digest: Digest | None
    ) -> DerivedRecord:
        return DerivedRecord(
            source=diff_id,
            kind=kind,
            size=size,
            digest=digest,
            boot_id=boot_id(),
            writer_version=WRITER_VERSION,
        )

    def _verify(self, path: Path, record: DerivedRecord) -> bool:
        """Whether a form of another boot is what was written; if so, it is marked durable."""
        if record.digest is None or not path.is_file():
            return False
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != record.size:
                return False
            found = file_digest(file, record.digest.algorithm)
            if f"{found.name}:{found.hexdigest()}" != record.digest:
                return False
            if self._database.read_only:
                return True
            os.fsync(file.fileno())
        with self._database.write() as tx:
            Forms(tx).mark_durable(record.source, record.kind, record.boot_id)
        return True
