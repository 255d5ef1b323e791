"""Archives that are both: what Docker saves, and an OCI layout that may name more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orlop.errors import NotFoundError
from orlop.layout.driver.path import INDEX_FILE, LAYOUT_FILE
from orlop.layout.read.docker import open_all_docker
from orlop.layout.read.oci import open_all_oci
from orlop.mediatype import is_index, is_manifest
from orlop.spec.index import Index
from orlop.spec.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Collection

    from orlop.digest import Digest
    from orlop.layout.files.extents import Files
    from orlop.layout.place import Place
    from orlop.layout.read.source import LocalSource


def open_all_hybrid(place: Place, files: Files) -> list[LocalSource]:
    """Every image of a docker-archive, and those that only its layout names.

    An index of which the archive holds one image, which Docker loads, is that image; artifacts that
    are no images are left out.

    Raises:
        OrlopError: As `open_all_docker` and `open_all_oci`.
    """
    saved = open_all_docker(place, files)
    if files.size(LAYOUT_FILE) is None or files.size(INDEX_FILE) is None:
        return saved
    known = {source.resolve().digest for source in saved}
    listed = open_all_oci(replace(place, transport="oci-archive"), files)
    return saved + [source for source in listed if _is_another(source, known)]


def _is_another(source: LocalSource, known: Collection[Digest]) -> bool:
    """Whether this is an image, and none of those that are known."""
    target = source.resolve()
    try:
        if target.digest in known:
            return False
        if is_manifest(target.media_type):
            return Manifest.decode(source.read(target), target.media_type).is_image
        if is_index(target.media_type):
            children = Index.decode(source.read(target), target.media_type).manifests
            return not any(child.digest in known for child in children)
    except NotFoundError:  # The layout lists what was not saved.
        return False
    return False
