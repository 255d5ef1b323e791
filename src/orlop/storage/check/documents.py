"""Looks at what images and containers are made of: their documents, and what these name.

The key of one is its kind and its name: `image NAME` for a name that stands for an image, `own ID`
for an image of its own, `container ID`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.digest import empty_digest
from orlop.errors import OrlopError
from orlop.mediatype import is_index, is_manifest
from orlop.metadata import Blobs, Containers, Images, StoredImages
from orlop.spec import ImageConfig, Index, Manifest
from orlop.storage.check.examination import in_additional
from orlop.storage.check.layers import is_had
from orlop.storage.check.report import Finding
from orlop.storage.layers.ancestry import has_layer
from orlop.storage.stored.facts import read_facts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.digest import Digest
    from orlop.metadata import BlobRecord, ImageRow, Transaction
    from orlop.storage.check.examination import Examination
    from orlop.storage.check.report import Damage, Remedy, Subject
    from orlop.storage.core import StorageCore

_SUBJECTS: Final[dict[str, Subject]] = {"image": "image", "own": "image", "container": "container"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a record says that it is made of.

    Attributes:
        documents: Its index, manifest and config, as far as it has some.
        layer: Its layer, where it must have one.
        image: The image that it was made from, where that must be there.
    """

    documents: tuple[Digest, ...] = ()
    layer: str | None = None
    image: str | None = None


class DocumentExaminer:
    """Looks at the images and containers of a store."""

    kind: Final = "image"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._storage = examination.storage

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        with self._examination.read() as tx:
            return [
                *(f"image {row[0]}" for row in tx.rows("SELECT name FROM images ORDER BY name")),
                *(f"own {row.id}" for row in StoredImages(tx).list() if row.made),
                *(f"container {row.id}" for row in Containers(tx).list()),
            ]

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`."""
        kind, _, id = key.partition(" ")  # noqa: A001
        with self._examination.read() as tx:
            needs = needs_of(tx, kind, id)
        if needs is None:
            return
        if needs.layer is not None and not self._has_layer(needs.layer):
            what = f"has lost the record of its layer {needs.layer}"
            remedy = self._remedy_of_layer(kind, id)
            yield _finding(kind, id, "reference", what, remedy)
        if needs.image is not None and not self._has_image(needs.image):
            what = f"was made from image {needs.image}, which is not there"
            yield _finding(kind, id, "reference", what, "remove")
        for digest in needs.documents:
            yield from self._document(kind, id, digest)

    def _document(self, kind: str, id: str, digest: Digest) -> Iterator[Finding]:  # noqa: A002
        """Whether a document is stored, and all that is needed of what it names."""
        if not self._is_stored(digest):
            yield self._missing(kind, id, digest, "a document", "fetch")
            return
        if in_additional(self._storage, digest):
            return
        document = read_stored(self._storage, digest)
        if document is None:
            return  # A config; or it is damaged, which is a finding of the blob.
        if isinstance(document, Manifest):
            for layer in document.layers:
                if not self._is_stored(layer.digest):
                    yield self._missing(kind, id, layer.digest, "a layer", "fetch")
        with self._examination.read() as tx:
            unnamed = names_of(document).difference(Blobs(tx).children(digest))
            unnamed -= {child for child in unnamed if Blobs(tx).get(child) is None}
            record = Blobs(tx).get(digest) if unnamed else None
            if unnamed and not (record is not None and is_labelled(record)):
                what = f"has {len(unnamed)} blobs of {digest} that nothing is recorded to keep"
                yield _finding(kind, id, "reference", what, "rebuild")

    def _is_stored(self, digest: Digest) -> bool:
        with self._examination.read() as tx:
            recorded = Blobs(tx).get(digest) is not None
        return recorded or in_additional(self._storage, digest)

    def _has_layer(self, id: str) -> bool:  # noqa: A002
        return any(has_layer(store, id) for store in (self._storage, *self._storage.additional))

    def _has_image(self, id: str) -> bool:  # noqa: A002
        for store in (self._storage, *self._storage.additional):
            with store.database.read() as tx:
                if read_facts(tx, id) is not None:
                    return True
        return False

    def _remedy_of_layer(self, kind: str, id: str) -> Remedy:  # noqa: A002
        if kind == "container":
            return "force"
        with self._examination.read() as tx:
            return "rebuild" if stack_of_image(self._storage, tx, kind, id) else "force"

    def _missing(self, kind: str, id: str, digest: Digest, role: str, remedy: Remedy) -> Finding:  # noqa: A002
        return _finding(kind, id, "missing", f"needs {digest}, {role}, which is not stored", remedy)


def needs_of(tx: Transaction, kind: str, id: str) -> Needs | None:  # noqa: A002
    """What a record of an image or a container says; None where it is gone."""
    if kind == "image":
        row = Images(tx).get(id)
        return None if row is None else needs_of_name(row)
    if kind == "own":
        own = StoredImages(tx).get(id)
        if own is None or not own.made:
            return None
        documents = _known((own.target_digest, own.manifest_digest, own.config_digest))
        return Needs(documents=documents, layer=own.layer)
    container = Containers(tx).get(id)
    if container is None:
        return None
    known = _known((container.manifest_digest, container.config_digest))
    # The documents are all that a container needs of an image that has some.
    image = None if known or not container.image else container.image
    return Needs(documents=known, layer=container.layer, image=image)


def needs_of_name(row: ImageRow) -> Needs:
    """What the record of a name that stands for an image says."""
    # The image's ID is its config, or its target where that is no image.
    documents = _known((row.target_digest, row.manifest_digest, row.image_id))
    return Needs(documents=documents, layer=_top(row))


def read_stored(storage: StorageCore, digest: Digest) -> Manifest | Index | None:
    """A manifest or index that is stored; None for what is none, or is damaged."""
    with storage.database.read() as tx:
        record = Blobs(tx).get(digest)
    return None if record is None else read_document(storage, record)


def read_document(storage: StorageCore, record: BlobRecord) -> Manifest | Index | None:
    """A manifest or index that is recorded; None for what is none, or is damaged."""
    kind = record.media_type
    if not (is_index(kind) or is_manifest(kind)):
        return None
    try:
        raw = storage.content.read(record.digest, record.size)
        return Index.decode(raw) if is_index(kind) else Manifest.decode(raw)
    except (OrlopError, OSError):
        return None


def names_of(document: Manifest | Index) -> set[Digest]:
    """What a document names."""
    if isinstance(document, Index):
        return {each.digest for each in document.manifests}
    return {document.config.digest, *(each.digest for each in document.layers)}


def stack_of_image(
    storage: StorageCore,
    tx: Transaction,
    kind: str,
    id: str,  # noqa: A002
) -> tuple[Digest, ...] | None:
    """The layers of an image, the base first, as its config says; None where it has none."""
    needs = needs_of(tx, kind, id)
    for digest in () if needs is None else reversed(needs.documents):
        record = Blobs(tx).get(digest)
        if record is None:
            continue
        try:
            config = ImageConfig.decode(storage.content.read(digest, record.size))
        except (OrlopError, OSError):
            continue
        if config.diff_ids:
            return config.diff_ids
    return None


def is_lost(examination: Examination, kind: str, id: str) -> bool:  # noqa: A002
    """Whether an image cannot be what it was: a document is lost, or a layer in every form.

    A layer that is in none just now, and can be unpacked from its blob, is not.
    """
    with examination.read() as tx:
        needs = needs_of(tx, kind, id)
        if needs is None:
            return False
        if any(Blobs(tx).get(digest) is None for digest in needs.documents):
            return True
        diff_ids = stack_of_image(examination.storage, tx, kind, id)
    return any(not is_had(examination, diff_id) for diff_id in diff_ids or ())


def _top(row: ImageRow) -> str | None:
    """The layer that an image must have: none where it is no image, or one without layers."""
    if row.manifest_digest is None or row.chain_id in {None, empty_digest()}:
        return None
    assert row.chain_id is not None
    return row.chain_id.encoded


def _known(documents: Iterable[Digest | None]) -> tuple[Digest, ...]:
    return tuple(dict.fromkeys(each for each in documents if each is not None))


def is_labelled(record: BlobRecord) -> bool:
    """Whether labels say what a document keeps: then nothing else needs to."""
    return any("gc.ref.content" in key for key in record.labels)


def _finding(
    kind: str,
    id: str,  # noqa: A002
    damage: Damage,
    what: str,
    remedy: Remedy,
) -> Finding:
    subject = _SUBJECTS[kind]
    return Finding(
        damage=damage,
        subject=subject,
        id=id,
        what=f"{subject} {id} {what}",
        remedy=remedy,
    )
