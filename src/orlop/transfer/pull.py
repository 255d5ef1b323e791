"""Pulling: one image from wherever it is into a store, whole or not at all."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from orlop.errors import ConflictError, NeedsParentsError, NotFoundError, UnsupportedError
from orlop.images.sources import layer_sources
from orlop.mediatype import EROFS_LAYER, EROFS_LAYER_ZSTD, is_encrypted, is_layer
from orlop.metadata import Chains, ImageRow, Images, Layers, Lease
from orlop.metadata.content import LeasedContent
from orlop.parallel import Cancellation, run_all
from orlop.storage.chains import Stack
from orlop.storage.mountable import fits_overlay
from orlop.transfer.copy import copy_content
from orlop.transfer.jobs import DEFAULT_JOBS, check_jobs
from orlop.transfer.keep import StoredContent
from orlop.transfer.layer import LayerFetcher
from orlop.transfer.progress import Stage

if TYPE_CHECKING:
    from orlop.digest import Digest
    from orlop.spec.descriptor import Descriptor
    from orlop.storage.build import LayerLimits
    from orlop.storage.forms import FormKind
    from orlop.storage.mountable import Driver
    from orlop.storage.storage import Storage
    from orlop.transfer.copy import Item
    from orlop.transfer.progress import Reporter
    from orlop.transfer.select import Selection
    from orlop.transfer.source import ImageSource


@dataclass(frozen=True, slots=True, kw_only=True)
class PullOptions:
    """How an image is brought in.

    Attributes:
        driver: What is to mount it: `erofs`, `overlay` or `directory`.
        jobs: How many layers are brought in at once, 1 to `MAX_JOBS`.
        limits: What layers may grow to, and hold; the defaults where None.
    """

    driver: Driver
    jobs: int = DEFAULT_JOBS
    limits: LayerLimits | None = None

    def __post_init__(self) -> None:
        check_jobs(self.jobs)


class Pull:
    """One pull, under one lease.

    Args:
        storage: Where the image goes.
        source: Where it comes from; None where all of it is stored, and only a form is missing.
        lease: What keeps everything until the image's name does.
        options: How.
        report: Told of every step.
    """

    def __init__(
        self,
        storage: Storage,
        source: ImageSource | None,
        lease: Lease,
        options: PullOptions,
        report: Reporter,
    ) -> None:
        self._storage = storage
        self._source = source
        self._lease = lease
        self._options = options
        self._report = report
        self._content = LeasedContent(storage.content, storage.database, lease)
        self._target = StoredContent(self._content)

    def run(
        self,
        selection: Selection,
        names: tuple[str, ...],
        everything: Item | None = None,
        *,
        again: bool = False,
    ) -> list[ImageRow]:
        """Bring an image in and name it; success means that it is whole, durable and mountable.

        Args:
            selection: The image, with its documents.
            names: What it is to be called; a name that is taken moves here.
            everything: What else of the image is to be stored, without being unpacked.
            again: The names stand for what the image was selected from, and are to do so still.

        Returns:
            The record of each name.

        Raises:
            ConflictError: A name has been moved or removed meanwhile, and was to stay.
            OrlopError: As `LayerFetcher.obtain` and `Mountables.prepare`.
            OSError: Something could not be written.
        """
        for layer in selection.manifest.layers:
            _check_supported(layer)
        self._hold(selection)
        self.obtain_layers(selection.manifest.layers, selection.config.diff_ids)
        self._store_documents(selection)
        if everything is not None:
            self._store_rest(everything)
        self._report(Stage.MERGE, selection.manifest_descriptor.digest)
        stack = Stack.of(selection.config.diff_ids)
        self._storage.chains.forget_damaged(stack)
        try:
            self._storage.mountables.prepare(stack, self._options.driver, self._lease)
        except NotFoundError:
            if not self._storage.forms.forget_damaged(stack.diff_ids):
                raise
            self.obtain_layers(selection.manifest.layers, selection.config.diff_ids)
            self._storage.mountables.prepare(stack, self._options.driver, self._lease)
        return self._record(selection, stack, names, again=again)

    def _hold(self, selection: Selection) -> None:
        """Keep all that belongs to the image, whether it is here already or comes now."""
        layers = selection.manifest.layers
        documents = [descriptor for descriptor, _ in selection.documents]
        self._lease.hold_all(
            [
                *(("blob", each.digest) for each in (*layers, *documents)),
                *(("form", diff_id) for diff_id in selection.config.diff_ids),
                ("chain", Stack.of(selection.config.diff_ids).chain_id),
            ]
        )

    def obtain_layers(self, layers: tuple[Descriptor, ...], diff_ids: tuple[Digest, ...]) -> None:
        """Bring all layers in, with the forms that the driver needs.

        Where a layer cannot be a directory of its own, or an overlay cannot have so many, all of
        them become tars, and the image one merged directory.

        Raises:
            OrlopError: As `LayerFetcher.obtain`.
        """
        if self._options.driver == "overlay" and fits_overlay(diff_ids):
            with suppress(NeedsParentsError):
                self._obtain(layers, diff_ids, "diff")
                return
        self._obtain(layers, diff_ids, "tar")

    def _obtain(
        self, layers: tuple[Descriptor, ...], diff_ids: tuple[Digest, ...], kind: FormKind
    ) -> None:
        cancellation = Cancellation()
        fetcher = LayerFetcher(
            self._source,
            places=self._storage.places,
            content=self._content,
            forms=self._storage.forms,
            lease=self._lease,
            kind=kind,
            cancellation=cancellation,
            report=self._report,
            limits=self._options.limits,
        )
        # Of a layer that comes several times the topmost counts: it hides the others.
        wanted = {
            (layer.digest, layer.size, diff_id): (layer, diff_id, number == 0)
            for number, (layer, diff_id) in enumerate(zip(layers, diff_ids, strict=True))
        }
        largest_first = sorted(wanted.values(), key=lambda each: -each[0].size)
        run_all(
            [
                partial(fetcher.obtain, layer, diff_id, lowest=lowest)
                for layer, diff_id, lowest in largest_first
            ],
            jobs=self._options.jobs,
            cancellation=cancellation,
        )

    def _store_documents(self, selection: Selection) -> None:
        """Store indexes, manifest and config, and what each of them names."""
        *documents, (config, raw) = selection.documents
        self._target.put_document(config, raw)
        for descriptor, document in documents:
            self._target.put_document(descriptor, document)

    def _store_rest(self, item: Item) -> None:
        """Store what belongs to the other platforms of the image, as it is."""
        copy_content([item], self._target, jobs=self._options.jobs, report=self._report)

    def _record(
        self, selection: Selection, stack: Stack, names: tuple[str, ...], *, again: bool
    ) -> list[ImageRow]:
        now = time.time_ns()
        target = selection.target
        blobs = {descriptor.digest: descriptor.size for descriptor, _ in selection.documents}
        blobs.update((layer.digest, layer.size) for layer in selection.manifest.layers)
        records = [
            ImageRow(
                name=name,
                target=json.dumps(target.encode(), separators=(",", ":")),
                target_digest=target.digest,
                manifest_digest=selection.manifest_descriptor.digest,
                image_id=selection.documents[-1][0].digest,
                chain_id=stack.chain_id,
                platform=str(selection.config.platform),
                size=sum(blobs.values()),
                created_at_ns=now,
                updated_at_ns=now,
            )
            for name in names
        ]
        with self._storage.database.write() as tx:
            self._lease.require_in(tx)
            Chains(tx).put_layers(stack.chain_id, stack.diff_ids)
            Layers(tx).put_stack(stack.diff_ids, layer_sources(selection.manifest.layers), now)
            for record in records:
                before = Images(tx).get(record.name) if again else None
                if again and (before is None or before.target_digest != target.digest):
                    raise ConflictError(
                        f"{record.name} has just been moved or removed", hint="look again"
                    )
                Images(tx).put(record)
            return [Images(tx).get(record.name) or record for record in records]


def _check_supported(layer: Descriptor) -> None:
    if is_encrypted(layer.media_type):
        raise UnsupportedError(f"layer {layer.digest} is encrypted ({layer.media_type})")
    if layer.media_type in {EROFS_LAYER, EROFS_LAYER_ZSTD}:
        raise UnsupportedError(
            f"layer {layer.digest} is a filesystem image ({layer.media_type}), which the kernel "
            "is not given unless orlop wrote it"
        )
    if not is_layer(layer.media_type):
        raise UnsupportedError(f"{layer.digest} is no layer of files, but {layer.media_type}")
