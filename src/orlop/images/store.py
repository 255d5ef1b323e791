"""The store of images: names, each with a descriptor, labels and times.

Every change is one transaction, durable when the method returns; any number of threads and
processes may work on one store. No document is read while a transaction is open.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, final

from orlop.errors import ConflictError, NotFoundError
from orlop.filters import parse, parse_fieldpath
from orlop.images.facts import gather
from orlop.images.lookup import find_rows
from orlop.images.rows import change_row, check_name, make_row, read_row
from orlop.metadata import Blobs, Chains, Images, Layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orlop.filters import FieldPath
    from orlop.images.facts import Facts
    from orlop.images.provider import Provider
    from orlop.images.record import ImageRecord
    from orlop.metadata import Database, ImageRow, Transaction
    from orlop.platform import Platform
    from orlop.spec.descriptor import Descriptor

_WHOLE = ("labels", "target")


@final
class ImageStore:
    """Images by name.

    Args:
        database: Where they are recorded.
        provider: Where their documents are, if they are; what they say is noted for listings.
        platform: Which image of an index counts in listings; the first where None.
        now_ns: The clock, in nanoseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        provider: Provider,
        *,
        platform: Platform | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = database
        self._provider = provider
        self._platform = platform
        self._now_ns = now_ns

    def get(self, name: str) -> ImageRecord:
        """The image of this name.

        Raises:
            NotFoundError: There is none.
        """
        with self._database.read() as tx:
            return read_row(_require(tx, name))

    def list(self, *filters: str) -> tuple[ImageRecord, ...]:
        """The images that any of these filters means, in the order of the names; all without one.

        Args:
            filters: In the language of `orlop.filters.parse`, over the fields `name`,
                `target.digest`, `target.mediatype`, `labels.KEY`, `annotations.KEY`, `size`,
                `createdat`, `updatedat`, `platform` and `id`.

        Raises:
            InvalidFilterError: One of them is no filter.
            LimitExceededError: There are too many, or one is too long.
        """
        meant = parse(*filters, now_ns=self._now_ns())
        with self._database.read() as tx:
            return tuple(read_row(row) for row in find_rows(tx, meant))

    def create(self, record: ImageRecord) -> ImageRecord:
        """Give a name that is free, and return the record as it is stored.

        Both its times are now, whatever the given record says. Labels without a value are not
        kept.

        Content that is there is kept from now on; until then a lease has to. What comes later is
        kept by labels (`label_children`), or once the target is updated. Where a document has
        labels that name some of its children, they alone say which of them are kept.

        Raises:
            AlreadyExistsError: The name is taken.
            InvalidError: The record cannot be kept: it has no name, a target without size or media
                type, or a label without key.
            LimitExceededError: A part of it is too long.
        """
        facts = gather(self._provider, record.target, self._platform)
        row = make_row(record, facts, now_ns=self._now_ns())
        with self._database.write() as tx:
            Images(tx).create(row)
            _keep(tx, facts, row.updated_at_ns)
            return read_row(_require(tx, record.name))

    def update(
        self, record: ImageRecord, *fieldpaths: str, expected: ImageRecord | None = None
    ) -> ImageRecord:
        """Change the image of the record's name, wholly or not at all, and return it.

        The name and the time of creation stay; the time of the update is now.

        Args:
            record: The name, and the new values.
            fieldpaths: What of them is meant, applied in this order: `labels`, `target`,
                `annotations` (the target's), `labels.KEY` or `annotations.KEY`, where all behind
                the first dot is the key, and one without a value is deleted. Labels and target
                where there is none.
            expected: The image as it was read before: if it was changed since, nothing happens.

        Raises:
            NotFoundError: There is no image of this name.
            ConflictError: It is not the expected one.
            InvalidError: A path is another, or the outcome cannot be kept; see `create`.
            LimitExceededError: A part of the outcome is too long.
        """
        check_name(record.name)
        paths = [
            parse_fieldpath(text, maps=("labels", "annotations"), fields=("target",))
            for text in fieldpaths or _WHOLE
        ]
        moves = any(path.field == "target" for path in paths)
        facts = gather(self._provider, record.target, self._platform) if moves else None
        with self._database.write() as tx:
            row = _require(tx, record.name)
            if expected is not None and read_row(row) != expected:
                raise ConflictError(
                    f"image {record.name!r} has been changed", hint="read it again, and try again"
                )
            changed = _apply(read_row(row), record, paths)
            learned = None if _is_known(row, record) else facts
            now = self._now_ns()
            Images(tx).update(change_row(row, changed, learned, now_ns=now))
            if facts is not None:
                _keep(tx, facts, now)
            return read_row(_require(tx, record.name))

    def delete(self, name: str, *, target: Descriptor | None = None) -> None:
        """Take a name away; what only it kept is garbage then.

        Args:
            name: The name.
            target: Only if the name still stands for this content.

        Raises:
            NotFoundError: There is no image of this name, or it stands for other content.
        """
        with self._database.write() as tx:
            found = _require(tx, name)
            if target is not None and found.target_digest != target.digest:
                raise NotFoundError(
                    f"image {name!r} is {found.target_digest}, and not {target.digest}"
                )
            Images(tx).delete(name)


def _apply(old: ImageRecord, new: ImageRecord, paths: Iterable[FieldPath]) -> ImageRecord:
    """The old record with what these paths mean taken from the new one."""
    labels, target = old.labels, old.target
    for path in paths:
        match path.field:
            case "labels":
                labels = path.update(labels, new.labels)
            case "annotations":
                annotations = path.update(target.annotations, new.target.annotations)
                target = replace(target, annotations=annotations)
            case _:
                target = new.target
    return replace(old, labels=labels, target=target)


def _is_known(row: ImageRow, record: ImageRecord) -> bool:
    """Whether the row says of this target what is to be said, by whoever chose the platform."""
    return row.manifest_digest is not None and row.target_digest == record.target.digest


def _keep(tx: Transaction, facts: Facts, now_ns: int) -> None:
    """Record what the documents name, unless their labels do."""
    for document, named in facts.named.items():
        record = Blobs(tx).get(document)
        if record is not None and named.isdisjoint(record.labels.values()):
            Blobs(tx).link(document, named)
    if facts.chain_id is not None and facts.diff_ids:
        Chains(tx).put_layers(facts.chain_id, facts.diff_ids)
        Layers(tx).put_stack(facts.diff_ids, facts.sources, now_ns)


def _require(tx: Transaction, name: str) -> ImageRow:
    found = Images(tx).get(name)
    if found is None:
        raise NotFoundError(f"no image is called {name!r}")
    return found
