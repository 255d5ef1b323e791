"""Showing a layer: the kernel lays its directory over what it stands on.

| form of the layer     | what is mounted                                                        |
| --------------------- | ---------------------------------------------------------------------- |
| `diff`, `user-diff`   | an overlay: its own directory takes the writes, those of its parents   |
|                       | and the mount of the stack below lie under it                          |
| `tree`                | its own directory, which has all files                                 |
| none (read-only)      | an overlay without a directory for writes, or the stack's own mount    |

Without the right to mount, the directory that all files of a layer lie in is shown as it is.

A stack of tars is mounted once for all layers that stand on it (`erofs`). Where a layer is seen
through an ID mapping, everything below it is shown through id-mapped mounts, and what is written
to it lies there under the machine's IDs.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orlop._sys.process import in_initial_user_namespace
from orlop.drivers import MountHandle, mount_bind, mount_overlay
from orlop.drivers.idmapped import mount_idmapped
from orlop.errors import UnsupportedError
from orlop.idmap import IdMapping, translate
from orlop.metadata import Lease, MountSubject, Owner
from orlop.storage.chains import Stack
from orlop.storage.layers.ancestry import (
    Ground,
    Written,
    directory_of,
    ground_of,
    seen_of,
)
from orlop.storage.layers.mapping import mapping_of
from orlop.storage.layers.upper import prepare_upper
from orlop.storage.places import EMPTY_LOWER
from orlop.storage.rebuild import make_mountable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.metadata import MountRecord
    from orlop.storage.core import StorageCore
    from orlop.storage.layers.ancestry import Located
    from orlop.storage.mountable import Driver, Mountable


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewOptions:
    """How a layer is to be shown.

    Attributes:
        writable: Whether it takes writes.
        nodev: Device nodes inside are dead.
        nosuid: Set-user-id bits inside are ignored.
    """

    writable: bool
    nodev: bool = True
    nosuid: bool = True


class View:
    """What a layer is mounted from, and what is held until it is; `Viewer.close` lets go of it.

    Attributes:
        handle: The mount, detached; None where a directory is shown as it is.
        directory: That directory.
        below: The mount of the stack that it stands on, if any.
        holder: What holds that one until the layer's own mount is recorded.
    """

    def __init__(self) -> None:
        self.handle: MountHandle | None = None
        self.directory: Path | None = None
        self.below: MountRecord | None = None
        self.holder = ""
        self.stack = ExitStack()


class Viewer:
    """Makes views of the layers of a store.

    Args:
        storage: The store.
    """

    def __init__(self, storage: StorageCore) -> None:
        self._storage = storage

    def open(self, layers: Sequence[Located], options: ViewOptions) -> View:
        """A view of the first of these layers, which stands on the others.

        Raises:
            UnsupportedError: No right to mount, or a kernel that cannot.
            IdMapRefusedError: The layers below cannot be shown with other IDs.
            NotFoundError: What a layer is made of is lost.
            OSError: Something is missing, or the kernel refuses it.
        """
        row = layers[0].row
        view = View()
        with ExitStack() as stack:
            stack.callback(self.close, view)
            if row.form == "tree" and (options.writable or layers[0].written):
                self._show_tree(view, layers[0], options)
            elif not (options.writable or self._storage.mountables.can_mount):
                self._show_below(view, layers)
            else:
                self._show_overlay(view, layers, options)
            stack.pop_all()
        return view

    def close(self, view: View) -> None:
        """Let go of all that a view holds, and of the mount itself if it is detached."""
        if view.handle is not None:
            view.handle.close()
        view.stack.close()
        if view.below is not None and view.holder:
            self._storage.mounts.release(view.below, view.holder)
            view.holder = ""

    def _show_tree(self, view: View, layer: Located, options: ViewOptions) -> None:
        directory = directory_of(layer.storage, layer.row)
        view.directory = directory
        if self._storage.mountables.can_mount and not options.writable:
            view.handle = mount_bind(directory, nodev=options.nodev, nosuid=options.nosuid)

    def _show_below(self, view: View, layers: Sequence[Located]) -> None:
        """Show the directory that a layer's files lie in, without a mount."""
        ground = ground_of(layers)
        if ground.directories:
            raise UnsupportedError(
                f"layer {layers[0].row.id} cannot be shown without a mount, which needs root",
                hint="run it as root, or as root of a user namespace",
            )
        (base,) = self._base(view, ground.base) or (Written(self._empty(), None),)
        view.directory = base.path

    def _show_overlay(self, view: View, layers: Sequence[Located], options: ViewOptions) -> None:
        _require_marks(layers, writable=options.writable)
        row, storage = layers[0].row, self._storage
        # A layer's own tar, and what was written since, lie on each other.
        own = layers[0].directory if options.writable else None
        ground = ground_of(layers, without=own)
        mapping = mapping_of(row)
        lowers = self._lowers(view, ground, mapping, alone=own is None)
        if own is None:
            view.handle = self._read_only(lowers, options)
            return
        place = storage.places.layer(row.id)
        volatile = bool(row.flags.get("volatile"))
        prepare_upper(place, lowers[0], volatile=volatile)
        view.handle = mount_overlay(
            lowers, upper=place / "diff", work=place / "work", nodev=options.nodev,
            nosuid=options.nosuid, volatile=volatile,
        )  # fmt: skip

    @staticmethod
    def _read_only(lowers: Sequence[Path | MountHandle], options: ViewOptions) -> MountHandle:
        return mount_overlay(lowers, nodev=options.nodev, nosuid=options.nosuid)

    def _lowers(
        self, view: View, ground: Ground, mapping: IdMapping | None, *, alone: bool
    ) -> list[Path | MountHandle]:
        """What an overlay is made of; `alone` where nothing comes to lie above it."""
        base = self._base(view, ground.base)
        if isinstance(ground.base, Stack) and not (alone and not ground.directories):
            base = self._unmarked(view, ground.base, base)
        layers = [*ground.directories, *base]
        if ground.base is None and len(layers) < 2:
            # Alone it would be shown as it is, with all that overlay notes in it.
            layers.append(Written(self._empty(), None))
        return [self._shown(view, each, mapping) for each in layers]

    def _base(self, view: View, base: Stack | Written | None) -> Sequence[Written]:
        if base is None:
            return ()
        if isinstance(base, Written):
            return (base,)
        driver = self._stack_driver()
        if driver != "erofs":
            return [Written(path, None) for path in self._made(base, driver).paths]
        view.below, view.holder = self._share(base, driver)
        self._keep(view.below, base, driver)
        return (Written(Path(view.below.target), None),)

    def _share(self, stack: Stack, driver: Driver) -> tuple[MountRecord, str]:
        return self._storage.mounts.share(
            MountSubject(chain_id=stack.chain_id),
            driver,
            lambda: self._made(stack, driver),
            owner=Owner.current(),
        )

    def _keep(self, record: MountRecord, stack: Stack, driver: Driver) -> None:
        """Hold a stack's mount for the next layer that stands on it."""
        if not self._storage.holds.has(record):
            held = self._share(stack, driver)
            if not self._storage.holds.keep(*held):
                self._storage.mounts.release(*held)

    def _unmarked(self, view: View, stack: Stack, base: Sequence[Written]) -> Sequence[Written]:
        """What a stack consists of for an overlay, which must not obey marks of the image's."""
        lower = self._storage.chains.find_lower(stack)
        if lower is None:
            return base
        if view.below is not None:
            self._storage.mounts.release(view.below, view.holder)
            view.below, view.holder = None, ""
        return (Written(lower, None),)

    def _made(self, stack: Stack, driver: Driver) -> Mountable:
        """What a stack is mounted from; it is the layer that keeps it once it is there."""
        found = self._storage.mountables.find(stack, driver)
        if found is not None:
            return found
        with Lease(self._storage.database, "mount") as lease:
            lease.hold("chain", stack.chain_id)
            return make_mountable(self._storage, stack, driver, lease)

    def _stack_driver(self) -> Driver:
        mountables = self._storage.mountables
        wanted = self._storage.driver
        if wanted == "vfs":
            return mountables.best_driver()
        if wanted == "erofs":
            return "erofs"
        return "overlay" if mountables.keeps_owners else "directory"

    def _shown(self, view: View, written: Written, mapping: IdMapping | None) -> Path | MountHandle:
        """A directory, or a mount that shows it with the IDs that the layer is to have."""
        if written.mapping == mapping:
            return written.path
        nothing = IdMapping.identity()
        change = translate(written.mapping or nothing, mapping or nothing)
        mount = mount_idmapped(written.path, change, namespaces=self._storage.namespaces)
        return view.stack.enter_context(mount)

    def _empty(self) -> Path:
        """An empty directory: what a layer without parents stands on."""
        path = self._storage.places.root / "layers" / EMPTY_LOWER
        path.mkdir(mode=0o755, exist_ok=True)
        return path


def _require_marks(layers: Sequence[Located], *, writable: bool) -> None:
    """Succeed if overlay obeys the marks in the directories that it is to show, here.

    Raises:
        UnsupportedError: They are those of a user namespace, or those of the machine in one.
    """
    initial = in_initial_user_namespace()
    for each in seen_of(layers):
        used = each.written or (writable and each is layers[0])
        if used and each.row.form == ("user-diff" if initial else "diff"):
            raise UnsupportedError(
                f"layer {each.row.id} was made {'in a' if initial else 'outside of this'} user"
                " namespace, and shows there alone what was removed from it",
                hint="mount it in `orlop unshare`" if initial else "mount it as root",
            )
