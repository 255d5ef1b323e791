"""What registries' images were made into, by the references that they were asked for by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.disks.store import Store

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
    with Store(cache_dir, scope="registry") as store:
        return store.get(tag)


def remove_registry_cache(tag: str, cache_dir: _Path = None) -> None:
    """Forget the disks of a registry's image, in whatever way built; raises as `Store.remove`."""
    with Store(cache_dir, scope="registry") as store:
        store.remove(tag)


def list_registry_cache(cache_dir: _Path = None) -> list[ImageInfo]:
    """The images of registries that were made into disks, the newest first."""
    with Store(cache_dir, scope="registry") as store:
        return store.list()


def gc(cache_dir: _Path = None) -> int:
    """Free the disks that no tag and no reference needs; how many."""
    with Store(cache_dir) as store:
        return store.gc()
