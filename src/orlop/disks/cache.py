"""What registries' images were made into, by the references that they were asked for by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.disks.store import Store
from orlop.errors import ImageNotFoundError
from orlop.storage.where import find_places

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from orlop.disks.result import BuildResult, ImageInfo, ImageMeta, LayerRef

    _Path = str | PathLike[str] | None


def save_registry_cache(
    tag: str, cache_dir: _Path, layers: Sequence[LayerRef], meta: ImageMeta
) -> None:
    """Note disks of a registry's image; raises as `Store.save`.

    Args:
        tag: The reference.
        cache_dir: The store; where orlop has it where None.
        layers: The disks, base first.
        meta: What is noted about them.
    """
    with Store(cache_dir, scope="registry") as store:
        store.save(tag, layers, meta)


def get_registry_cache(tag: str, cache_dir: _Path = None) -> BuildResult:
    """The disks of a registry's image; raises as `Store.get`.

    Of an image that was built in several ways these are the ones that were noted last.
    """
    with _existing(cache_dir, tag) as store:
        return store.get(tag)


def remove_registry_cache(tag: str, cache_dir: _Path = None) -> None:
    """Forget the disks of a registry's image, in whatever way built; raises as `Store.remove`."""
    with _existing(cache_dir, tag) as store:
        store.remove(tag)


def list_registry_cache(cache_dir: _Path = None) -> list[ImageInfo]:
    """The images of registries that were made into disks, the newest first."""
    if not _exists(cache_dir):
        return []
    with Store(cache_dir, scope="registry") as store:
        return store.list()


def gc(cache_dir: _Path = None) -> int:
    """Free the disks that no tag and no reference needs; how many."""
    if not _exists(cache_dir):
        return 0
    with Store(cache_dir) as store:
        return store.gc()


def _existing(cache_dir: _Path, tag: str) -> Store:
    """The store, which is not made to find out that it has nothing."""
    if not _exists(cache_dir):
        raise ImageNotFoundError(f"there are no disks of {tag}", hint="build them")
    return Store(cache_dir, scope="registry")


def _exists(cache_dir: _Path) -> bool:
    return find_places(cache_dir, None).database.exists()
