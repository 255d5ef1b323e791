"""What keeps a store in order: collecting, checking, mending, measuring, and its mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.storage.reserve import keep_reserve, with_reserve

if TYPE_CHECKING:
    from os import PathLike

    from orlop.metadata.collected import Collected
    from orlop.storage.check import Repaired, Report
    from orlop.storage.storage import Storage
    from orlop.storage.usage import Usage
    from orlop.store.machine import Machine
    from orlop.store.mount import MountInfo
    from orlop.transfer import SourceOptions


class StoreUpkeep:
    """The methods of a store that are about the store itself, whatever images are in it."""

    @property
    def storage(self) -> Storage:
        """What the store is made of."""
        raise NotImplementedError

    def collect(self, *, unfinished: bool = False, dry_run: bool = False) -> Collected:
        """Free what no image, mount or lease needs; safe beside pulls and readers.

        Mounts whose holders are all gone are taken away first, bundles that were not finished, and
        what killed runs of containers left, with the containers that were to go.

        Args:
            unfinished: Also drop what interrupted pulls left, which is kept for a day so that the
                next pull goes on with it.
            dry_run: Write nothing, and say what would go; a read-only store will do.

        Raises:
            OSError: Something could not be removed.
        """
        from orlop.bundle.records import Bundles
        from orlop.runtime.left import left_containers, remove_left
        from orlop.storage.collect import collect

        if dry_run:
            found = [each.id for each in Bundles(self.storage).stale()]
            found += [each.id for each in left_containers(self.storage)]
            collected = collect(self.storage, unfinished=unfinished, dry_run=True)
            return collected.with_containers(found)
        gone = [each.id for each in Bundles(self.storage).collect()]
        gone += remove_left(self.storage)
        collected = with_reserve(
            self.storage.places, lambda: collect(self.storage, unfinished=unfinished)
        )
        keep_reserve(self.storage.places)
        return collected.with_containers(gone)

    def check(self, *, quick: bool = False, max_age: float = 24 * 3600) -> Report:
        """Hold everything against everything else, and say what is wrong; see `Storage.check`."""
        return self.storage.check(quick=quick, max_age=max_age)

    def repair(
        self,
        *,
        quick: bool = False,
        max_age: float = 24 * 3600,
        fetch: bool = False,
        force: bool = False,
        options: SourceOptions | None = None,
    ) -> Repaired:
        """Check the store, mend what can be mended, and say what is left; see `Storage.repair`.

        Args:
            quick: As for `check`, like `max_age`.
            max_age: Seconds for which data without a record may be somebody's work.
            fetch: Fetch blobs again from the registries that the names of their images say.
            force: Also remove the records of what is lost for ever, with all that stands on it.
            options: How registries are reached; anonymously and by HTTPS where None.
        """
        fetcher = None
        if fetch:
            from orlop.transfer import SourceOptions
            from orlop.transfer.refetch import Refetcher

            fetcher = Refetcher(self.storage, options or SourceOptions())
        return self.storage.repair(quick=quick, max_age=max_age, fetcher=fetcher, force=force)

    def dedup(self) -> int:
        """Let equal files share their blocks, and say how many bytes do; see `Storage.dedup`."""
        return self.storage.dedup()

    def shutdown(self, *, force: bool = False) -> tuple[str, ...]:
        """Take away all mounts, and say where they were; see `Storage.shutdown`."""
        return self.storage.shutdown(force=force)

    def wipe(self, *, force: bool = False) -> None:
        """Remove everything that is in the store; see `Storage.wipe`."""
        self.storage.wipe(force=force)

    def usage(self) -> Usage:
        """What the store occupies, and how much of it a collection would free."""
        from orlop.storage.usage import measure

        return measure(self.storage)

    def machine(self) -> Machine:
        """What this machine can do for the store, and why not; found out by trying."""
        from orlop.store.machine import look_at_machine

        return look_at_machine(self.storage.places)

    def mounts(self) -> list[MountInfo]:
        """The mounts that are there, with the processes that hold them."""
        from orlop.store.mounts import list_mounts

        return list_mounts(self.storage)

    def unmount(self, target: str | PathLike[str], *, lazy: bool = False) -> bool:
        """Release a mount that outlives its process; whether it is gone now.

        Args:
            target: Where it is, whatever is mounted there; or what `image` takes: the image's mount
                at orlop's own place.
            lazy: Take it away also while it is in use.

        Raises:
            NotFoundError: Nothing of this store is mounted there.
            InUseError: It is in use, or processes hold it.
        """
        from orlop.store.mounts import unmount

        return unmount(self.storage, target, lazy=lazy)
