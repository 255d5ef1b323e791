"""Bundles of a plain cache's images, written out anew each time.

    ROOT/c/<id>/       a bundle; locked by whoever is making it
    ROOT/c/.<id>.lock  that lock

A bundle without `config.json` that nobody has locked is what a crash has left; it is removed when a
bundle of its name is made, and by `collect`.
"""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

from orlop._sys.handle import Fd
from orlop._sys.lock import FileLock
from orlop.bundle.bundler import host_name, mapping_of
from orlop.bundle.cache import verify_layer
from orlop.bundle.directory import (
    has_spec,
    make_bundle_directory,
    remove_bundle_directory,
    require_enterable,
    write_spec,
    write_targets,
)
from orlop.bundle.finish import finish_spec, start_spec
from orlop.bundle.names import DIR_CONTAINERS, DIR_ROOTFS
from orlop.bundle.options import hostname, image_config
from orlop.bundle.protocols import check_layer_count
from orlop.bundle.running import require_idle
from orlop.bundle.targets import make_targets, mount_targets
from orlop.bundle.tree import merge_layers, write_rootfs
from orlop.digest import Digest
from orlop.errors import AlreadyExistsError, InUseError, InvalidError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from orlop.bundle.cache import CachedImage, ImageCache
    from orlop.bundle.options import SpecOption
    from orlop.spec.runtime import RuntimeSpec

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)


class PlainBundle:
    """A bundle of a plain cache; as a context manager it is removed at the end.

    Args:
        path: Where it is.
        notes: What could not be taken over, for people.
    """

    def __init__(self, path: Path, notes: tuple[str, ...] = ()) -> None:
        self.path = path
        self.notes = notes

    def cleanup(self) -> None:
        """Remove it with all that the container wrote; removing it again does nothing.

        Raises:
            InUseError: The container runs.
            OSError: It could not be removed.
        """
        require_idle(self.path / DIR_ROOTFS, f"bundle {self.path}")
        if not self.path.parent.is_dir():
            return
        with lock_of(self.path):
            remove_bundle_directory(self.path, self.path.name, tree=True)
            _lock_path(self.path).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.cleanup()


class CacheBundler:
    """Makes bundles of the images of a plain cache.

        with CacheBundler(ImageCache(root)).bundle(digest, "web", read_only()) as bundle:
            subprocess.run(["crun", "run", "--bundle", bundle.path, "web"])

    Args:
        cache: The images.
    """

    def __init__(self, cache: ImageCache) -> None:
        self._cache = cache
        self._folder = cache.root / DIR_CONTAINERS

    def bundle(self, image: CachedImage | Digest, id: str, /, *options: SpecOption) -> PlainBundle:  # noqa: A002
        """A bundle that is ready for a runtime; it stays until `cleanup`.

        Every layer is held against its diffID once more while it is read.

        Args:
            image: The image, or the digest of its manifest.
            id: What the container is called: a word that is free.
            options: How it is to be run, after what the image says.

        Raises:
            NotFoundError: There is no such image; or no such user in it.
            LimitExceededError: It has more layers than it may; nothing was written.
            AlreadyExistsError: There is a bundle of this name.
            VerificationError: A layer in the cache was changed.
            InvalidError: An option makes no sense, or all together break a rule.
            OSError: Something could not be written; nothing is left of it.
        """
        found = self._cache.image(Digest(image)) if isinstance(image, str) else image
        check_layer_count(len(found.config.diff_ids), self._cache.max_layers)
        if not _ID.fullmatch(id):
            raise InvalidError(f"{id[:100]!r} cannot be the name of a container")
        spec = start_spec((image_config(found.config), hostname(host_name(id)), *options))
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        path = self._folder / id
        with lock_of(path), ExitStack() as undo:
            if path.exists():
                if has_spec(path):
                    raise AlreadyExistsError(f"bundle {path} is there already")
                remove_bundle_directory(path, path.name, tree=True)
            undo.callback(remove_bundle_directory, path, id, tree=True)
            self._fill(found, path, spec)
            undo.pop_all()
        return PlainBundle(path, tuple(spec.notes))

    def collect(self) -> list[Path]:
        """Remove the bundles that were not finished, and say which."""
        gone = []
        for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else []:
            if path.name.startswith(".") or has_spec(path):
                continue
            try:
                with lock_of(path):
                    if not has_spec(path):
                        remove_bundle_directory(path, path.name, tree=True)
                        gone.append(path)
                    _lock_path(path).unlink(missing_ok=True)
            except InUseError:
                continue
        return gone

    def _fill(self, image: CachedImage, path: Path, spec: RuntimeSpec) -> None:
        mapping = mapping_of(spec)
        rootfs = make_bundle_directory(path, path.name)
        if mapping is not None:
            require_enterable(path, mapping)
        with ExitStack() as stack:
            # What is verified and what is written come through the same handles.
            tars = {each.diff_id: stack.enter_context(each.open()) for each in image.layers()}
            changesets = {each: verify_layer(tar, each) for each, tar in tars.items()}
            tree = merge_layers((each, changesets[each]) for each in image.config.diff_ids)
            write_rootfs(rootfs, tree, lambda each: tars[each].fileno(), mapping)
        spec.section("root")["path"] = DIR_ROOTFS
        owner = mapping.to_host(0, 0) if mapping is not None and os.geteuid() == 0 else None
        with Fd(os.open(rootfs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
            finish_spec(spec, root.fileno())
            write_targets(path, path.name, make_targets(root.fileno(), mount_targets(spec), owner))
        write_spec(path, spec)


def lock_of(path: Path) -> FileLock:
    """The lock of whoever makes or removes a bundle."""
    return FileLock(_lock_path(path), timeout=0)


def _lock_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")
