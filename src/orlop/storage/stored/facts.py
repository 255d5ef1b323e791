"""What one store records of an image, be it one that was pulled or one of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orlop.metadata import BigData, BigDatum, Images, Layers, Names, StoredImageRow, StoredImages
from orlop.storage.keys import digests_of
from orlop.storage.stored.record import StoredImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.digest import Digest
    from orlop.metadata import ImageRow, Transaction


@dataclass(frozen=True, slots=True)
class Facts:
    """An image in one store.

    Attributes:
        id: Its ID.
        rows: Its names as records, where it was pulled and has some.
        own: What is noted about it, or that it is one of its own.
        names: All its names.
    """

    id: str
    rows: tuple[ImageRow, ...]
    own: StoredImageRow | None
    names: tuple[str, ...]

    @property
    def pulled(self) -> bool:
        """Whether it has the documents of an image."""
        return bool(self.rows) or (self.own is not None and self.own.target is not None)

    @property
    def target_digest(self) -> Digest | None:
        """What its name was resolved to."""
        if self.rows:
            return self.rows[0].target_digest
        return None if self.own is None else self.own.target_digest

    @property
    def manifest_digest(self) -> Digest | None:
        """Its manifest."""
        if self.rows:
            return self.rows[0].manifest_digest or self.rows[0].target_digest
        return None if self.own is None else self.own.manifest_digest

    @property
    def config_digest(self) -> Digest | None:
        """Its config."""
        if self.rows:
            return self.rows[0].image_id
        return None if self.own is None else self.own.config_digest


def read_facts(tx: Transaction, id: str) -> Facts | None:  # noqa: A002
    """What is recorded of an image; None where there is none of this ID."""
    rows = tuple(_pulled(tx, id))
    own = StoredImages(tx).get(id)
    if not rows and (own is None or not own.made):
        return None
    names = (*(row.name for row in rows), *Names(tx).get("image", id))
    return Facts(id, rows, own, names)


def iter_ids(tx: Transaction) -> Iterator[str]:
    """The IDs of all images, in their order."""
    pulled = {row.image_id.encoded for row in Images(tx).list()}
    made = {row.id for row in StoredImages(tx).list() if row.made}
    yield from sorted(pulled | made)


def layer_in(tx: Transaction, facts: Facts) -> str | None:
    """The ID of an image's top layer, if it has one that is recorded."""
    if facts.rows:
        chain_id = facts.rows[0].chain_id
        if chain_id is None or Layers(tx).get(chain_id.encoded) is None:
            return None
        return chain_id.encoded
    return None if facts.own is None else facts.own.layer


def data_in(tx: Transaction, facts: Facts) -> tuple[BigDatum, ...]:
    """The big data of an image: its own items, and its documents where it has some.

    They are called as containers/storage calls them: `manifest`, `manifest-<digest>` for each of
    several, and the config's digest.
    """
    found = {datum.name: datum for datum in _documents(tx, facts)}
    found.update((datum.name, datum) for datum in BigData(tx).list("image", facts.id))
    return tuple(found[name] for name in sorted(found))


def image_in(tx: Transaction, facts: Facts, *, additional: bool = False) -> StoredImage:
    """An image, as its users see it."""
    own = facts.own
    digest = (own.digest if own is not None else None) or facts.target_digest
    manifests = [datum.digest for datum in data_in(tx, facts) if datum.name.startswith("manifest")]
    known = (digest, facts.target_digest, facts.manifest_digest, *manifests)
    created = min((row.created_at_ns for row in facts.rows), default=0)
    return StoredImage(
        id=facts.id,
        names=facts.names,
        names_history=Names(tx).history(facts.id),
        layer=layer_in(tx, facts),
        digest=digest,
        digests=tuple(dict.fromkeys(each for each in known if each is not None)),
        metadata="" if own is None else own.metadata,
        flags={} if own is None else own.flags,
        created_at_ns=created if own is None or not own.made else own.created_at_ns,
        pulled=facts.pulled,
        additional=additional,
    )


def noted(facts: Facts, *, now_ns: int) -> StoredImageRow:
    """The row that what is to be noted about an image goes into."""
    if facts.own is not None:
        return facts.own
    return StoredImageRow(id=facts.id, made=False, created_at_ns=now_ns)


def without_names(facts: Facts, layer: str | None) -> StoredImageRow:
    """The row of an image that was pulled and is to stay without a name."""
    row = facts.rows[0]
    return replace(
        noted(facts, now_ns=row.created_at_ns),
        made=True,
        layer=layer,
        target=row.target,
        target_digest=row.target_digest,
        manifest_digest=row.manifest_digest,
        config_digest=row.image_id,
        platform=row.platform,
        size=row.size,
    )


def _pulled(tx: Transaction, id: str) -> Iterator[ImageRow]:  # noqa: A002
    for digest in digests_of(id):
        yield from Images(tx).with_id(digest)


def _documents(tx: Transaction, facts: Facts) -> Iterator[BigDatum]:
    from orlop.metadata import Blobs

    named: dict[str, Digest | None] = {
        "manifest": facts.manifest_digest,
        f"manifest-{facts.manifest_digest}": facts.manifest_digest,
        f"manifest-{facts.target_digest}": facts.target_digest,
        str(facts.config_digest): facts.config_digest,
    }
    for name, digest in named.items():
        record = None if digest is None else Blobs(tx).get(digest)
        if record is not None:
            yield BigDatum(name=name, size=record.size, digest=record.digest)
