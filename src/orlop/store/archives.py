"""Images of a store in archives: saved into one file or stream, and loaded from one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

from orlop.errors import OrlopError
from orlop.store.bring import bring_all
from orlop.store.sources import open_stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.storage.storage import Storage
    from orlop.store.image import Image
    from orlop.transfer import Copied, CopyOptions

ArchiveFormat: TypeAlias = Literal["docker-archive", "oci-archive"]

_STREAM = "-"


def save(
    storage: Storage,
    names_or_ids: Sequence[str],
    output: str | os.PathLike[str] | BinaryIO,
    options: CopyOptions,
    *,
    form: ArchiveFormat,
) -> list[Copied]:
    """Write images of a store into a new archive, which replaces one that is there."""
    from orlop.layout import Place
    from orlop.transfer import copy_opened

    path = _path_of(output)
    place = Place(transport=form, path=path)
    if not isinstance(output, (str, os.PathLike)):
        options = replace(options, output=output)
    with open_stored(storage, names_or_ids) as images:
        try:
            return copy_opened(images, place, replace(options, replace=True))
        except OrlopError as error:
            raise error.inside(f"saving to {path}")


def load(
    storage: Storage, archive: str | os.PathLike[str] | BinaryIO, options: CopyOptions
) -> list[tuple[list[Image], tuple[str, ...]]]:
    """Bring all images of an archive or directory into a store, with notes on each."""
    from orlop.transfer import open_archive

    path = _path_of(archive)
    source = replace(options.source, spool=options.source.spool or storage.places.staging)
    if not isinstance(archive, (str, os.PathLike)):
        source = replace(source, stream=archive)
    try:
        with open_archive(path, source) as images:
            return bring_all(storage, images, options)
    except OrlopError as error:
        raise error.inside(f"loading {path}")


def _path_of(file: str | os.PathLike[str] | BinaryIO) -> Path:
    """The path of a file; a file object has that of a stream, which no file is taken for."""
    if isinstance(file, (str, os.PathLike)):
        return Path(os.path.abspath(file))
    return Path(_STREAM)
