"""Looks at layers: what they stand on, what they hold, and their directories."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from orlop._sys.process import boot_id
from orlop.digest import Digest, chain_ids, chain_on
from orlop.errors import ConflictError, NotFoundError, OrlopError, UnsupportedError
from orlop.metadata import Layers
from orlop.storage.check.examination import is_needed
from orlop.storage.check.report import Finding
from orlop.storage.layers.ancestry import Located, ancestry, directory_of, locate
from orlop.storage.layers.contents import Contents
from orlop.storage.rebuild import find_blob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orlop.metadata import LayerRow, Transaction
    from orlop.storage.check.examination import Examination
    from orlop.storage.check.report import Damage, Remedy


class LayerExaminer:
    """Looks at the layers of a store."""

    kind: Final = "layer"

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._storage = examination.storage

    def keys(self) -> Iterable[str]:
        """See `Examiner.keys`."""
        with self._examination.read() as tx:
            return Layers(tx).with_prefix("")

    def look(self, key: str) -> Iterator[Finding]:
        """See `Examiner.look`."""
        with self._examination.read() as tx:
            row = Layers(tx).get(key)
        if row is None:
            return
        parent = self._find(row.parent)
        if row.parent is not None and parent is None:
            what = f"stands on layer {row.parent}, which is not there"
            yield _finding(row, "reference", what, self._remedy_of_parent(row))
        yield from self._content(row)
        if row.parent is None or parent is not None:
            yield from self._place(row)
        yield from self._directory(row)

    def _find(self, id: str | None) -> Located | None:  # noqa: A002
        if id is None:
            return None
        for store in (self._storage, *self._storage.additional):
            with store.database.read() as tx:
                row = Layers(tx).get(id)
            if row is not None:
                return locate(row, store)
        return None

    def _remedy_of_parent(self, row: LayerRow) -> Remedy:
        """A layer of a stack that is recorded can be recorded again."""
        if not row.pulled:
            return "force"
        with self._examination.read() as tx:
            return "rebuild" if stack_through(stack_rows(tx, row), row) else "force"

    def _content(self, row: LayerRow) -> Iterator[Finding]:
        """Whether the tar of a layer is here in any form, or can be had again."""
        if row.diff_id is None or is_had(self._examination, row.diff_id):
            return
        if row.pulled and not self._is_held(row):
            return
        what = f"is made of the tar {row.diff_id}, which is here in no form"
        yield _finding(row, "missing", what, "fetch" if row.source is not None else "force")

    def _is_held(self, row: LayerRow) -> bool:
        with self._examination.read() as tx:
            return is_needed(tx, "held", row.id) or (
                row.chain_id is not None and is_needed(tx, "form", str(row.diff_id))
            )

    def _place(self, row: LayerRow) -> Iterator[Finding]:
        """Whether there is nothing but tars below a tar, and whether its chainID says which."""
        if row.diff_id is None:
            return
        try:
            layers = ancestry(self._storage, row.id)
        except OrlopError:
            return
        for each in layers[1:]:
            if each.row.diff_id is None and each.written:
                what = f"is a tar, and stands on the directory of layer {each.row.id}"
                yield _finding(row, "form", what, "rebuild")
                return
        below = chain_below(layers[1:])
        if row.chain_id != chain_on(below, row.diff_id):
            what = f"is recorded with the chainID {row.chain_id}, which is not what it stands on"
            yield _finding(row, "mismatch", what, "none" if row.pulled else "rebuild")

    def _directory(self, row: LayerRow) -> Iterator[Finding]:
        place, directory = self._storage.places.layer(row.id), directory_of(self._storage, row)
        there = directory.is_dir()
        if row.frozen:
            with self._examination.read() as tx:
                mounted = Layers(tx).is_mounted_on(row.id, boot_id())
            if not mounted:
                what = "is frozen, and its directory waits to be removed"
                yield _finding(row, "leftover", what, "remove", str(directory))
            return
        if not there and row.diff_id is None and (place / "work").is_dir():
            what = "has lost the directory that it was written to"
            yield _finding(row, "missing", what, "force", str(directory))
        if there and row.form not in {None, "tree"} and not self._examination.quick:
            yield from self._upper(locate(row, self._storage))

    def _upper(self, layer: Located) -> Iterator[Finding]:
        """Whether a directory is in the form that orlop lets the kernel write."""
        # Without privilege nobody sees the marks of those that root wrote.
        if layer.row.form == "diff" and not self._storage.mountables.keeps_owners:
            return
        path = str(layer.directory)
        try:
            with Contents(self._storage) as contents:
                for _ in contents.written(layer):
                    pass
        except (UnsupportedError, NotFoundError) as error:
            yield _finding(layer.row, "form", f"cannot be read: {error}", "none", path)
        except (ConflictError, FileNotFoundError):
            return  # Whoever writes to it just now, or freezes it, has removed something.
        except OSError as error:
            what = f"cannot be read: {error.filename}: {error.strerror}"
            yield _finding(layer.row, "unreadable", what, "none", path)


def is_had(examination: Examination, diff_id: Digest) -> bool:
    """Whether the tar of a layer is here in a form, or a blob that it unpacks from is."""
    if has_form(examination, diff_id):
        return True
    with suppress(NotFoundError):
        store, digest = find_blob(examination.storage, diff_id)
        return store.content.stat(digest) is not None
    return False


def has_form(examination: Examination, diff_id: Digest) -> bool:
    """Whether a layer is here in a form that can be mounted, or compared."""
    storage = examination.storage
    return (
        storage.forms.find(diff_id, "tar") is not None
        or storage.forms.usable(diff_id, "diff", "base") is not None
    )


def chain_below(layers: Iterable[Located]) -> Digest | None:
    """The chainID of what a tar stands on."""
    return next((each.row.chain_id for each in layers if each.row.diff_id is not None), None)


_STACKS: Final = """
    SELECT chain_id, diff_id FROM chain_layers
    WHERE chain_id IN (SELECT chain_id FROM chain_layers WHERE diff_id = ?)
    ORDER BY chain_id, ordinal
"""


def stack_rows(tx: Transaction, row: LayerRow) -> list[tuple[str, str]]:
    """The recorded stacks that have the tar of a layer: chainIDs and diffIDs."""
    return [(found[0], found[1]) for found in tx.rows(_STACKS, (row.diff_id,))]


def stack_through(rows: Iterable[tuple[str, str]], row: LayerRow) -> tuple[Digest, ...] | None:
    """The layers of a recorded stack that a layer of an image is part of, the base first."""
    stacks: dict[str, list[Digest]] = {}
    for chain_id, diff_id in rows:
        stacks.setdefault(chain_id, []).append(Digest(diff_id))
    for diff_ids in stacks.values():
        for at, chain_id in enumerate(chain_ids(diff_ids)):
            if chain_id == row.chain_id:
                return tuple(diff_ids[: at + 1])
    return None


def _finding(
    row: LayerRow, damage: Damage, what: str, remedy: Remedy, path: str | None = None
) -> Finding:
    return Finding(
        damage=damage,
        subject="layer",
        id=row.id,
        what=f"layer {row.id} {what}",
        path=path,
        remedy=remedy,
    )
