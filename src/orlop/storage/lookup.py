"""What a name or an ID means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.errors import AmbiguousError, InvalidDigestError, InvalidReferenceError, NotFoundError
from orlop.metadata import Images, Names, StoredImages

if TYPE_CHECKING:
    from orlop.metadata import ImageRow, Transaction

_SUGGESTIONS: Final = 3
_PREFIX: Final = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})", re.ASCII)


def find_image(tx: Transaction, name_or_id: str) -> list[ImageRow]:
    """The records of one image: exact ID first, then name, then unique prefix of an ID.

    A name without a host is one of Docker Hub, or else one of `localhost/`. An ID may have several
    names; a name has one record.

    Raises:
        NotFoundError: Nothing is called that.
        AmbiguousError: A prefix fits several IDs.
    """
    found = find_rows(tx, name_or_id)
    if not found:
        raise NotFoundError(f"no image is called {name_or_id!r}", hint=_suggest(tx, name_or_id))
    return found


def find_rows(tx: Transaction, name_or_id: str) -> list[ImageRow]:
    """The same, but nothing where nothing is called that.

    Raises:
        AmbiguousError: A prefix fits several IDs.
    """
    prefix = _PREFIX.fullmatch(name_or_id)
    found = _with_id(tx, name_or_id, prefix)
    if not found and (named := find_name(tx, name_or_id)) is not None:
        return [named]
    if not found and prefix is not None:
        found = _with_prefix(tx, name_or_id, prefix.group(1))
    return found


def find_name(tx: Transaction, name: str) -> ImageRow | None:
    """The record of a name: as it is, of Docker Hub or of `localhost/`; None if there is none."""
    from orlop.reference import Reference

    if not name.isascii():
        return None
    for each in (name, f"localhost/{name}"):
        found = Images(tx).get(each)
        if found is None:
            try:
                found = Images(tx).get(str(Reference.parse(each).with_default_tag()))
            except InvalidReferenceError:
                continue
        if found is not None:
            return found
    return None


def _suggest(tx: Transaction, name: str) -> str:
    """What to do when a name means nothing: whoever left the host away is shown whole names."""
    endings = (f"/{name}", f"/{name}:latest")
    meant = [record.name for record in Images(tx).list() if record.name.endswith(endings)]
    if name and meant:
        return f"say {' or '.join(meant[:_SUGGESTIONS])}"
    made = StoredImages(tx).get(name) if name.isprintable() else None
    if (made is not None and made.made) or (
        name.isprintable() and Names(tx).find("image", name) is not None
    ):
        return "it has no manifest, or no name any more: `orlop image` has commands for it"
    return "`orlop images` lists what there is"


def _with_id(tx: Transaction, name_or_id: str, prefix: re.Match[str] | None) -> list[ImageRow]:
    text = name_or_id
    if prefix is not None and len(prefix.group(1)) == 64:
        text = f"sha256:{prefix.group(1)}"
    try:
        digest = Digest(text)
    except InvalidDigestError:
        return []
    return list(Images(tx).with_id(digest)) or list(Images(tx).with_target(digest))


def _with_prefix(tx: Transaction, name_or_id: str, digits: str) -> list[ImageRow]:
    found = list(Images(tx).with_id_prefix(digits))
    ids = list(dict.fromkeys(record.image_id for record in found))
    if len(ids) > 1:
        raise AmbiguousError(
            f"{name_or_id!r} fits {len(ids)} images",
            candidates=[each[:19] for each in ids[:10]],
            hint="give more digits",
        )
    return found
