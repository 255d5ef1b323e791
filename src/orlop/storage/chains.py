"""What is kept of each stack of layers: the merged index, or the merged tree as a directory.

    chains/<algorithm>/<hex>/     by chainID
      index.erofs     metadata of the whole stack; its files lie in the layers' tars
      rootfs/         the whole stack as one directory
      owned/          the same as root of a user namespace makes it, with the owners there
      rootfs.lacks    what that directory lacks, as JSON, where its maker had no privilege;
                      owned.lacks likewise
      top/            an empty directory with the attributes of the stack's root, which overlay
                      takes from the topmost of its directories
      lower/          the whole stack as one directory to lie below an overlay, only where that
                      would obey attributes of the image (`trusted.overlay.*`): here escaped

All follow from the changesets alone, and are written again where they are not there, come from
another version of the writer, or may have been lost with the last boot.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from orlop._sys.process import boot_id, in_initial_user_namespace
from orlop.digest import Digest, chain_id, empty_digest
from orlop.errors import OrlopError
from orlop.metadata.derived import Chains, DerivedRecord
from orlop.storage.forms import is_whole
from orlop.storage.left_out import LeftOut, note_name, read_note
from orlop.storage.staging import publish, staging_directory
from orlop.storage.tars import LayerTars
from orlop.tree import Merger, Node

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orlop.metadata.database import Database
    from orlop.metadata.lease import Lease
    from orlop.storage.forms import FormStore
    from orlop.storage.places import Places

INDEX: Final = "index.erofs"
ROOTFS: Final = "rootfs"
OWNED: Final = "owned"
TOP: Final = "top"
LOWER: Final = "lower"
WRITER_VERSION: Final = 1
"""Version of what this module writes; overlays tell its indexes apart by it."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers, base first, and the name of their stack.

    Attributes:
        chain_id: The chainID; the digest of nothing for a stack of no layers.
        diff_ids: The layers.
    """

    chain_id: Digest
    diff_ids: tuple[Digest, ...]

    @classmethod
    def of(cls, diff_ids: Sequence[Digest]) -> Stack:
        """The stack of these layers."""
        return cls(chain_id(diff_ids) or empty_digest(), tuple(diff_ids))


class ChainStore:
    """The merged indexes and directories of a store's stacks.

    Args:
        places: Where they lie.
        database: Where they are recorded.
        forms: The layers that they are made of.
        others: The same of stores that are only read, looked for where there is nothing here.
    """

    def __init__(
        self,
        places: Places,
        database: Database,
        forms: FormStore,
        *,
        others: tuple[ChainStore, ...] = (),
    ) -> None:
        self._places = places
        self._database = database
        self._forms = forms
        self._others = others

    def path(self, stack: Stack, kind: str) -> Path:
        """Where something is, or would be."""
        return self._places.chain(stack.chain_id) / kind

    def find(self, stack: Stack, kind: str) -> Path | None:
        """The path of something that may be used now; None where it must be built."""
        own = self._find_own(stack, kind)
        found = (own, *(other.find(stack, kind) for other in self._others if own is None))
        return next((path for path in found if path is not None), None)

    def find_lower(self, stack: Stack) -> Path | None:
        """What must lie below an overlay instead of what is mounted otherwise, if anything must.

        It is known once that is there.
        """
        if not any(each.path(stack, LOWER).exists() for each in (self, *self._others)):
            return None
        return self.find(stack, LOWER)

    def _find_own(self, stack: Stack, kind: str) -> Path | None:
        with self._database.read() as tx:
            record = Chains(tx).get(stack.chain_id, kind)
        if record is None or record.writer_version != WRITER_VERSION:
            return None
        if not record.durable and record.boot_id != boot_id():
            return None
        path = self.path(stack, kind)
        return path if is_whole(path, record) else None

    def forget_damaged(self, stack: Stack) -> bool:
        """Forget a merged index that is not what was written, so that it is made again.

        Returns:
            Whether it was damaged.
        """
        path = self._find_own(stack, INDEX)
        if path is None:
            return False
        with self._database.read() as tx:
            record = Chains(tx).get(stack.chain_id, INDEX)
        if record is None or record.digest is None or _digest_of(path) == record.digest:
            return False
        with self._database.write() as tx:
            return Chains(tx).delete(stack.chain_id, INDEX)

    def devices(self, stack: Stack) -> list[Path]:
        """The tars that the index's files lie in, in the order of its device table."""
        return [self._forms.path(diff_id, "tar") for diff_id in dict.fromkeys(stack.diff_ids)]

    def tree(self, stack: Stack) -> Node:
        """The merged tree.

        Raises:
            NotFoundError: The changeset of a layer is missing or damaged.
            InvalidLayerError: The layers do not fit on each other.
        """
        merger = Merger()
        for diff_id in stack.diff_ids:
            changeset = self._forms.changeset(diff_id)
            try:
                merger.apply(changeset.removals(), changeset.additions())
            except OrlopError as error:
                raise error.inside(f"layer {diff_id}")
        return merger.root

    def build_index(self, stack: Stack, lease: Lease) -> Path:
        """Write the merged index; success means that it may be mounted over the layers' tars.

        Raises:
            NotFoundError: A layer's form is missing.
            InvalidLayerError: The layers do not fit on each other.
            LimitExceededError: The tree is larger than an index can be.
            OSError: It could not be written.
        """
        with staging_directory(self._places, lease.id) as staging:
            path = staging / INDEX
            root = self._build_lower(stack, lease)
            with open(path, "xb") as output:
                size = self._write_index(stack, root, output)
            self._publish(stack, path, INDEX, size, lease)
        return self.path(stack, INDEX)

    def write_index(self, stack: Stack, output: BinaryIO) -> int:
        """Write the merged index anywhere; its size in bytes. Raises as `build_index`."""
        return self._write_index(stack, self.tree(stack), output)

    def _write_index(self, stack: Stack, root: Node, output: BinaryIO) -> int:
        from orlop.fsimage.erofs import Device, write_index

        devices = [
            Device(diff_id, self._forms.size(diff_id)) for diff_id in dict.fromkeys(stack.diff_ids)
        ]
        with LayerTars(self._forms) as tars:
            uuid = index_uuid(stack)
            return write_index(
                root,
                devices,
                output,
                uuid=uuid,
                read=tars.read,
                drop_foreign_xattrs=True,
            ).size

    def build_rootfs(
        self, stack: Stack, lease: Lease, *, ownership: bool, kind: str = ROOTFS
    ) -> Path:
        """Write the merged tree as a directory, out of the layers' tars.

        Args:
            stack: The layers.
            lease: What keeps the directory until an image does.
            ownership: Give each file its owner; needs root, be it of a user namespace.
            kind: What it is called: `ROOTFS`, or `OWNED`.

        Raises:
            NotFoundError: A layer's form is missing.
            InvalidLayerError: The layers do not fit on each other.
            OSError: It could not be written.
        """
        root = self._build_lower(stack, lease, ownership=ownership)
        return self._write(stack, root, kind, self._size(stack), lease, ownership=ownership)

    def left_out(self, stack: Stack, kind: str) -> LeftOut:
        """What a directory of this kind lacks of the image.

        Raises:
            InvalidDocumentError: The note about it is damaged.
            OSError: It cannot be read.
        """
        found = self.find(stack, note_name(kind))
        return LeftOut() if found is None else read_note(found)

    def _build_lower(self, stack: Stack, lease: Lease, *, ownership: bool = True) -> Node:
        """The merged tree; where an overlay over it would obey it, `lower` has been written."""
        from orlop.rootfs import escape_marks, obeyed_by_overlay

        root, userxattr = self.tree(stack), not in_initial_user_namespace()
        if obeyed_by_overlay(root, userxattr=userxattr):
            escape_marks(root, userxattr=userxattr)
            self._write(stack, root, LOWER, self._size(stack), lease, ownership=ownership)
            root = self.tree(stack)
        return root

    def _size(self, stack: Stack) -> int:
        return sum(self._forms.size(diff_id) for diff_id in stack.diff_ids)

    def build_top(self, stack: Stack, lease: Lease) -> Path:
        """Write the empty directory that gives an overlay of the layers its root's attributes.

        Raises:
            NotFoundError: The changeset of a layer is missing or damaged.
            OSError: It could not be written.
        """
        root = self.tree(stack)
        assert root.children is not None
        root.children.clear()
        return self._write(stack, root, TOP, 0, lease, ownership=True)

    def _write(
        self, stack: Stack, root: Node, kind: str, size: int, lease: Lease, *, ownership: bool
    ) -> Path:
        from orlop.rootfs import write_tree

        with staging_directory(self._places, lease.id) as staging, LayerTars(self._forms) as tars:
            path = staging / kind
            path.mkdir(mode=0o700)
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                report = write_tree(
                    root,
                    handle,
                    tars.open,
                    ownership=ownership,
                    xattrs="strict" if ownership else "drop",
                )
            finally:
                os.close(handle)
            left_out = LeftOut.by(report, owners=ownership)
            if not left_out.nothing and kind in {ROOTFS, OWNED}:
                note = staging / note_name(kind)
                note.write_bytes(left_out.encode())
                self._publish(stack, note, note.name, note.stat().st_size, lease)
            self._publish(stack, path, kind, size, lease)
        return self.path(stack, kind)

    def _publish(self, stack: Stack, path: Path, kind: str, size: int, lease: Lease) -> None:
        record = DerivedRecord(
            source=stack.chain_id,
            kind=kind,
            size=size,
            digest=_digest_of(path) if path.is_file() else None,
            boot_id=boot_id(),
            writer_version=WRITER_VERSION,
        )
        with self._database.write() as tx:
            lease.hold_in(tx, "chain", stack.chain_id)
            Chains(tx).put(record)
            Chains(tx).put_layers(stack.chain_id, stack.diff_ids)
        publish(path, self.path(stack, kind))


def index_uuid(stack: Stack) -> bytes:
    """The UUID of a stack's merged index: 16 bytes that follow from chainID and writer version.

    Spec: RFC 9562, section 5.8 (version 8).
    """
    name = f"orlop merged index {WRITER_VERSION} {stack.chain_id}".encode()
    uuid = bytearray(hashlib.sha256(name).digest()[:16])
    uuid[6] = uuid[6] & 0x0F | 0x80
    uuid[8] = uuid[8] & 0x3F | 0x80
    return bytes(uuid)


def _digest_of(path: Path) -> Digest:
    with open(path, "rb") as file:
        return Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
