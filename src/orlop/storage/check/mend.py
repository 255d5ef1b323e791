"""What mends each kind of damage."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orlop._sys.lock import FileLock
from orlop.content import DigestDirectory
from orlop.digest import Digest, chain_on
from orlop.errors import NotFoundError, UnsupportedError
from orlop.images.sources import layer_sources
from orlop.metadata import (
    BigData,
    Blobs,
    Chains,
    Forms,
    Layers,
    Lease,
    Names,
    StoredImages,
)
from orlop.metadata.content import LeasedContent
from orlop.metadata.gc import forget_holders, is_named
from orlop.spec import Manifest
from orlop.storage.chains import INDEX
from orlop.storage.check.blobs import has_twin
from orlop.storage.check.checker import DEFAULT_MAX_AGE
from orlop.storage.check.data import data_path, split_key
from orlop.storage.check.derived import stack_of_chain, wrong_with
from orlop.storage.check.documents import names_of, needs_of, read_stored, stack_of_image
from orlop.storage.check.examination import Examination, is_needed
from orlop.storage.check.layers import chain_below, stack_rows, stack_through
from orlop.storage.check.lost import Remover
from orlop.storage.check.mounts import remove_place
from orlop.storage.collect import abandoned
from orlop.storage.forms import CHANGESET, is_disk
from orlop.storage.keys import KINDS
from orlop.storage.layers.ancestry import ancestry
from orlop.storage.layers.thaw import thaw_layer
from orlop.storage.leftovers import exists, orphaned_notes, remove_leftover
from orlop.storage.rebuild import build_form, ensure_form
from orlop.storage.staging import discard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orlop.metadata import LayerSource, Transaction
    from orlop.metadata.leases import Kind
    from orlop.spec import Index
    from orlop.storage.check.fetcher import BlobFetcher
    from orlop.storage.check.objects import Objects
    from orlop.storage.check.report import Finding
    from orlop.storage.core import StorageCore
    from orlop.storage.forms import FormKind

_CHUNK: Final = 1 << 20
_SECOND: Final = 10**9
_IMAGE_KINDS: Final = ("image", "own")


class Mender:
    """Mends one thing after the other.

    Args:
        storage: The store.
        objects: Its layers, images and containers.
        fetcher: What fetches blobs; None where nothing is to be fetched.
        force: Remove records whose content is lost.
        max_age: As for a check.

    Attributes:
        removed: The records that went because their content is lost.
    """

    def __init__(
        self,
        storage: StorageCore,
        objects: Objects,
        *,
        fetcher: BlobFetcher | None = None,
        force: bool = False,
        max_age: float = DEFAULT_MAX_AGE,
    ) -> None:
        self._storage = storage
        self._layers = objects.layers
        self._fetcher = fetcher
        self._force = force
        self._examination = Examination(
            storage=storage, quick=False, max_age_ns=round(max_age * _SECOND)
        )
        self._remover = Remover(self._examination, objects)
        self.removed = self._remover.removed

    def mend(self, finding: Finding) -> None:
        """Mend one thing; success means that this was done, not that nothing is wrong any more.

        Raises:
            OrlopError: It cannot be mended, or not so.
            OSError: Something could not be read or written.
        """
        actions: dict[str, Callable[[Finding], None]] = {
            "blob": self._blob,
            "form": self._form,
            "chain": self._chain,
            "layer": self._layer,
            "image": self._image,
            "container": self._container,
            "data": self._data,
            "name": self._name,
            "mount": self._mount,
            "file": self._file,
        }
        actions[finding.subject](finding)

    def _blob(self, finding: Finding) -> None:
        digest = Digest(finding.id)
        if finding.remedy == "remove":
            self._forget_unneeded("blob", digest, lambda tx: Blobs(tx).delete(digest))
            return
        try:
            self._restore(digest)
        except (NotFoundError, UnsupportedError):
            if not self._force:
                raise
            self._remover.forget_blob(digest)

    def _restore(self, digest: Digest) -> None:
        """Get a blob's bytes from wherever they are."""
        with Lease(self._storage.database, "repair") as lease:
            if has_twin(self._examination, digest):
                self._copy(digest, self._storage.places.form(digest) / "tar", lease)
                return
            for store in self._storage.additional:
                if store.content.stat(digest) is not None:
                    self._copy(digest, store.places.blob(digest), lease)
                    return
            self._fetch(digest, lease)

    def _fetch(self, digest: Digest, lease: Lease) -> None:
        if self._fetcher is None:
            raise UnsupportedError(
                f"blob {digest} has to be fetched again", hint="allow it with --fetch"
            )
        self._fetcher(digest, lease)

    def _copy(self, digest: Digest, source: Path, lease: Lease) -> None:
        content = LeasedContent(self._storage.content, self._storage.database, lease)
        with (
            open(source, "rb") as file,
            content.ingest(f"repair {digest}", digest=digest) as ingest,
        ):
            ingest.restart()
            while piece := file.read(_CHUNK):
                ingest.write(piece)
            ingest.commit()

    def _form(self, finding: Finding) -> None:
        text, _, kind = finding.id.partition(" ")
        diff_id = Digest(text)
        if finding.remedy == "remove":
            if is_disk(kind):
                self._remove_disk(diff_id, kind)
            self._forget_unneeded("form", diff_id, lambda tx: Forms(tx).delete(diff_id))
            return
        try:
            self._build(diff_id, kind)
        except (NotFoundError, UnsupportedError):
            if not self._force:
                raise
            self._remover.forget_form(diff_id)

    def _remove_disk(self, digest: Digest, kind: str) -> None:
        """Remove a disk that is damaged, unless it has been built again meanwhile."""
        path = self._storage.places.form(digest) / kind
        with self._storage.database.read() as tx:
            record = Forms(tx).get(digest, kind)
        if record is None or wrong_with(self._examination, record, path) is None:
            return
        with self._storage.database.write() as tx:  # What was hashed is known from now on.
            record = Forms(tx).get(digest, kind)
            if record is not None and wrong_with(self._examination, record, path) is not None:
                Forms(tx).delete(digest, kind)
                discard(path)

    def _build(self, diff_id: Digest, kind: str) -> None:
        form: FormKind = "diff" if kind in {"diff", "base"} else "tar"
        if kind == CHANGESET and not self._has_record(diff_id, "tar"):
            form = "diff"
        lowest = kind == "base" or self._has_record(diff_id, "base")
        with (
            FileLock(self._storage.places.lock(diff_id)),
            Lease(self._storage.database, "repair") as lease,
        ):
            lease.hold("form", diff_id)
            if not self._has_blob(diff_id):
                self._fetch_layer(diff_id, lease)
            build_form(self._storage, diff_id, form, lease, lowest=lowest)

    def _has_record(self, diff_id: Digest, kind: str) -> bool:
        with self._storage.database.read() as tx:
            return Forms(tx).get(diff_id, kind) is not None

    def _has_blob(self, diff_id: Digest) -> bool:
        from orlop.storage.rebuild import find_blob

        try:
            store, digest = find_blob(self._storage, diff_id)
        except NotFoundError:
            return False
        return store.content.stat(digest) is not None

    def _fetch_layer(self, diff_id: Digest, lease: Lease) -> None:
        """Fetch what a layer came in.

        Raises:
            NotFoundError: That is not known.
        """
        with self._storage.database.read() as tx:
            sources = {row.source for row in Layers(tx).with_diff_id(diff_id)} - {None}
        for source in sources:
            assert source is not None
            self._fetch(source, lease)
            return
        raise NotFoundError(f"layer {diff_id} came in nothing that can be fetched again")

    def _chain(self, finding: Finding) -> None:
        text, _, kind = finding.id.partition(" ")
        chain_id = Digest(text)
        if finding.remedy == "none":
            raise UnsupportedError("nothing tells which layers are meant")
        if finding.remedy == "remove":
            self._forget_unneeded("chain", chain_id, lambda tx: Chains(tx).delete(chain_id))
            return
        stack = stack_of_chain(self._storage, chain_id)
        if kind != INDEX or stack is None:
            with self._storage.database.write() as tx:
                Chains(tx).delete(chain_id, kind)
            return
        with Lease(self._storage.database, "repair") as lease:
            lease.hold("chain", chain_id)
            for at in range(len(stack.diff_ids)):
                ensure_form(self._storage, stack, at, "tar", lease)
            with FileLock(self._storage.places.lock(chain_id)):
                self._storage.chains.build_index(stack, lease)

    def _layer(self, finding: Finding) -> None:
        if finding.remedy == "none":
            raise UnsupportedError("nothing that is here says what it was")
        if finding.damage == "leftover":
            thaw_layer(self._storage, finding.id)
        elif finding.damage == "reference":
            self._restore_parent(finding)
        elif finding.damage in {"form", "mismatch"}:
            self._restore_chain(finding.id)
        elif finding.path is not None:
            self._require_force(finding)
            discard(self._storage.places.layer(finding.id) / "work")
        else:
            self._restore_layer(finding)

    def _restore_parent(self, finding: Finding) -> None:
        with self._storage.database.write() as tx:
            row = Layers(tx).get(finding.id)
            stack = None if row is None else stack_through(stack_rows(tx, row), row)
            if stack is not None and finding.remedy == "rebuild":
                Layers(tx).put_stack(stack)
                return
        self._require_force(finding)
        self._remover.remove_layer(finding)

    def _restore_chain(self, id: str) -> None:  # noqa: A002
        """Let there be nothing but tars below a tar, and its chainID say which."""
        layers = ancestry(self._storage, id)
        self._layers.freezer.freeze(layers[1:])
        layers = ancestry(self._storage, id)
        with self._storage.database.write() as tx:
            row = Layers(tx).get(id)
            if row is None or row.diff_id is None:
                return
            below = chain_below(layers[1:])
            Layers(tx).replace(replace(row, chain_id=chain_on(below, row.diff_id)))

    def _restore_layer(self, finding: Finding) -> None:
        with self._storage.database.read() as tx:
            row = Layers(tx).get(finding.id)
        if row is None or row.diff_id is None:
            return
        try:
            with Lease(self._storage.database, "repair") as lease:
                self._fetch_layer(row.diff_id, lease)
                with FileLock(self._storage.places.lock(row.diff_id)):
                    build_form(self._storage, row.diff_id, "tar", lease)
        except (NotFoundError, UnsupportedError):
            if not self._force:
                raise
            self._remover.remove_layer(finding)

    def _image(self, finding: Finding) -> None:
        if finding.damage == "missing":
            self._fetch_missing(finding, _IMAGE_KINDS)
            return
        if finding.remedy == "force":
            self._require_force(finding)
            self._remover.remove_image(finding)
            return
        for kind in _IMAGE_KINDS:
            self._link(kind, finding.id)

    def _container(self, finding: Finding) -> None:
        if finding.damage == "missing":
            self._fetch_missing(finding, ("container",))
        elif finding.remedy == "remove":
            with self._storage.database.write() as tx:
                sql = "UPDATE containers SET image = '' WHERE id = ?"
                tx.execute(sql, (finding.id,))
        elif finding.remedy == "rebuild":
            self._link("container", finding.id)
        else:
            self._require_force(finding)
            self._remover.remove_container(finding)

    def _link(self, kind: str, id: str) -> None:  # noqa: A002
        """Record again what the documents of an image name, and its layers."""
        with self._storage.database.read() as tx:
            needs = needs_of(tx, kind, id)
            diff_ids = stack_of_image(self._storage, tx, kind, id)
        if needs is None:
            return
        documents = {each: read_stored(self._storage, each) for each in needs.documents}
        with self._storage.database.write() as tx:
            for digest, document in documents.items():
                if document is not None and Blobs(tx).get(digest) is not None:
                    Blobs(tx).link(digest, names_of(document))
            if diff_ids and kind != "container":
                Layers(tx).put_stack(diff_ids, _sources(documents.values(), len(diff_ids)))

    def _fetch_missing(self, finding: Finding, kinds: tuple[str, ...]) -> None:
        """Fetch all that an image needs and that is not stored."""
        try:
            for kind in kinds:
                for digest in self._missing(kind, finding.id):
                    self._restore(digest)
                self._link(kind, finding.id)
                # The documents say what else there is.
                for digest in self._missing(kind, finding.id):
                    self._restore(digest)
        except (NotFoundError, UnsupportedError):
            if not self._force:
                raise
            self._remover.remove_lost(finding)

    def _missing(self, kind: str, id: str) -> list[Digest]:  # noqa: A002
        with self._storage.database.read() as tx:
            needs = needs_of(tx, kind, id)
        found: list[Digest] = [] if needs is None else list(needs.documents)
        for digest in tuple(found):
            document = read_stored(self._storage, digest)
            if isinstance(document, Manifest):
                found += sorted(names_of(document))
        with self._storage.database.read() as tx:
            return [each for each in dict.fromkeys(found) if Blobs(tx).get(each) is None]

    def _data(self, finding: Finding) -> None:
        kind, id, name = split_key(finding.id)  # noqa: A001
        if finding.remedy == "force":
            self._require_force(finding)
        with self._storage.database.write() as tx:
            datum = BigData(tx).get(kind, id, name)
            if datum is None or (finding.remedy == "remove" and exists(tx, kind, id)):
                return
            BigData(tx).delete(kind, id, name)
        data_path(self._storage, kind, id, datum).unlink(missing_ok=True)
        if finding.remedy == "force":
            self.removed.append(f"data {name} of {kind} {id}")

    def _name(self, finding: Finding) -> None:
        what, _, name = finding.id.partition(" ")
        with self._storage.database.write() as tx:
            if what == "note" and name in orphaned_notes(tx):
                StoredImages(tx).delete(name)
            for kind in KINDS:
                id = Names(tx).find(kind, name) if kind == what else None  # noqa: A001
                if id is not None and not exists(tx, kind, id):
                    Names(tx).remove(kind, id, [name])

    def _mount(self, finding: Finding) -> None:
        if finding.id.startswith("place "):
            remove_place(
                self._examination, Path(finding.id.removeprefix("place ")), force=self._force
            )
            return
        self._storage.mounts.clean()
        forget_holders(self._storage.database, time.time_ns())

    def _file(self, finding: Finding) -> None:
        path = Path(finding.id)
        if path.parent != self._storage.places.staging:
            remove_leftover(self._storage, path)
        elif path in abandoned(self._storage):
            discard(path)

    def _forget_unneeded(
        self, kind: Kind, digest: Digest, forget: Callable[[Transaction], object]
    ) -> None:
        """Remove a blob, form or chain that nothing needs, with its record."""
        assert kind != "ingest"
        places = {
            "blob": self._storage.places.root / "blobs",
            "form": self._storage.places.root / "forms",
            "chain": self._storage.places.root / "chains",
        }
        place = DigestDirectory(str(places[kind]), self._storage.content.trash)
        with self._storage.database.write() as tx:
            if is_needed(tx, kind, digest):
                return
            forget(tx)
            if not is_named(tx, kind, digest):
                place.delete(digest)

    def _require_force(self, finding: Finding) -> None:
        if not self._force:
            raise UnsupportedError(
                f"the content of {finding.subject} {finding.id} is lost",
                hint="have the record removed by force",
            )


def _sources(documents: Iterable[Manifest | Index | None], count: int) -> tuple[LayerSource, ...]:
    """What the layers of an image came in, one for each, where its manifest is here."""
    for document in documents:
        if isinstance(document, Manifest) and len(document.layers) == count:
            return layer_sources(document.layers)
    return ()
