"""Forms that are missing, built again from the blobs that they were derived from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop._sys.lock import FileLock
from orlop.digest import Digest
from orlop.errors import NeedsParentsError, NotFoundError, OrlopError
from orlop.metadata import Blobs, Chains, Layers

if TYPE_CHECKING:
    from orlop.metadata import Lease
    from orlop.storage.chains import Stack
    from orlop.storage.core import StorageCore
    from orlop.storage.forms import FormKind
    from orlop.storage.mountable import Driver, Mountable

_CHUNK: Final = 1 << 20


def make_mountable(storage: StorageCore, stack: Stack, driver: Driver, lease: Lease) -> Mountable:
    """What a stack is mounted from by this driver, made now as far as it is not there.

    Raises:
        NotFoundError: A layer's forms are lost, and so is the blob that they are made from.
        VerificationError: That blob is damaged.
        InvalidLayerError: The layers do not fit on each other.
        OSError: Something could not be written.
    """
    if driver == "directory":
        return _directory(storage, stack, lease)
    _make_forms(storage, stack, driver, lease)
    found = storage.mountables.prepare(stack, driver, lease)
    assert found is not None
    return found


def _directory(storage: StorageCore, stack: Stack, lease: Lease) -> Mountable:
    found = storage.mountables.find(stack, "directory")
    if found is not None:
        return found
    for at in range(len(stack.diff_ids)):
        ensure_form(storage, stack, at, "tar", lease)
    return storage.mountables.prepare_directory(stack, lease)


def _make_forms(storage: StorageCore, stack: Stack, driver: Driver, lease: Lease) -> None:
    if storage.mountables.find(stack, driver) is not None:
        return
    kind: FormKind = "tar" if driver == "erofs" else "diff"
    try:
        for at in range(len(stack.diff_ids)):
            ensure_form(storage, stack, at, kind, lease)
    except NeedsParentsError:
        # One that is no directory of its own is merged with the others, out of their tars.
        for at in range(len(stack.diff_ids)):
            ensure_form(storage, stack, at, "tar", lease)


def ensure_form(storage: StorageCore, stack: Stack, at: int, kind: FormKind, lease: Lease) -> None:
    """Build a form of the stack's layer number `at`, if it is not there in any store.

    Raises:
        NotFoundError: No blob is stored that it could be made from.
        NeedsParentsError: It cannot be a directory of its own.
        VerificationError: The blob is damaged.
        OSError: It could not be written.
    """
    diff_id = stack.diff_ids[at]
    lowest = at == 0 and stack.diff_ids.count(diff_id) == 1
    kinds: tuple[FormKind, ...] = ("diff", "base") if kind == "diff" and lowest else (kind,)
    if storage.forms.usable(diff_id, *kinds) is not None:
        return
    with FileLock(storage.places.lock(diff_id)):
        if storage.forms.usable(diff_id, *kinds) is None:
            build_form(storage, diff_id, kind, lease, lowest=lowest)


def build_form(
    storage: StorageCore, diff_id: Digest, kind: FormKind, lease: Lease, *, lowest: bool = False
) -> None:
    """Build a form of a layer from a blob of it; the caller holds the layer's lock.

    Raises:
        NotFoundError: No blob of it is stored.
        NeedsParentsError: It cannot be a directory of its own.
        VerificationError: The blob is damaged.
        OSError: It could not be written.
    """
    from orlop.storage.build import FormBuild

    store, blob = find_blob(storage, diff_id)
    with (
        FormBuild(
            storage.places, storage.forms, lease, blob=blob, diff_id=diff_id, kind=kind,
            lowest=lowest, copy=store is not storage,
        ) as build,
        store.content.open(blob) as stream,
    ):  # fmt: skip
        while chunk := stream.read(_CHUNK):
            build.feed(chunk)
        build.finish()
        build.publish()


def find_blob(storage: StorageCore, diff_id: Digest) -> tuple[StorageCore, Digest]:
    """A stored blob that a layer unpacks from, and the store that has it.

    Raises:
        NotFoundError: There is none.
    """
    for store in (storage, *storage.additional):
        with store.database.read() as tx:
            sources = [row.source for row in Layers(tx).with_diff_id(diff_id)]
            for source in dict.fromkeys((diff_id, *filter(None, sources))):
                if Blobs(tx).get(source) is not None:
                    return store, source
        named = _named_by_manifests(store, diff_id)
        if named is not None:
            return store, named
    raise NotFoundError(
        f"layer {diff_id} is not unpacked, and what it came in is not stored",
        hint="pull the image again",
    )


def _named_by_manifests(store: StorageCore, diff_id: Digest) -> Digest | None:
    """The stored blob of a layer as an image's manifest names it.

    Layers that an older version recorded do not say what they came in.
    """
    from orlop.spec import Manifest

    with store.database.read() as tx:
        rows = tx.rows(_IMAGES, (diff_id,))
        stacks = {row[0]: Chains(tx).layers(Digest(row[0])) for row in rows}
    for chain_id, manifest_digest in rows:
        info = store.content.stat(Digest(manifest_digest))
        if info is None:
            continue
        try:
            manifest = Manifest.decode(store.content.read(info.digest, info.size))
        except OrlopError:
            continue
        for layer, each in zip(manifest.layers, stacks[chain_id], strict=False):
            if each == diff_id and store.content.stat(layer.digest) is not None:
                return layer.digest
    return None


_IMAGES: Final = """
    SELECT DISTINCT images.chain_id, coalesce(manifest_digest, target_digest)
    FROM chain_layers JOIN images USING (chain_id) WHERE diff_id = ?
"""
