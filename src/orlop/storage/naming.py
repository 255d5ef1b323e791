"""IDs, names and metadata of layers, images and containers: what they may be."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from orlop.errors import AlreadyExistsError, InvalidError, LimitExceededError
from orlop.metadata.objects import Names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.metadata import ObjectKind, Transaction

MAX_NAMES: Final = 1000
"""How many names one layer, image or container may have."""
MAX_NAME_LENGTH: Final = 1024
"""Characters of a name."""
MAX_METADATA_SIZE: Final = 1 << 20
"""Bytes of metadata, which lie in the record; what is larger is big data."""
_SHORT_ID: Final = 12
_is_id: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII).fullmatch


def new_id() -> str:
    """A random ID of 64 hexadecimal digits, whose first dozen are not all decimal.

    An ID that is shortened for people must not look like a number, or YAML and shells would take
    it for one.
    """
    while True:
        found = os.urandom(32).hex()
        if not found[:_SHORT_ID].isdecimal():
            return found


def check_id(id: str) -> str:  # noqa: A002
    """An ID that its user chose, if it may be one.

    Raises:
        InvalidError: It is not 1 to 128 letters, digits, `_`, `.` and `-`, the first one a letter
            or digit.
    """
    if _is_id(id) is None:
        raise InvalidError(
            f"{id[:100]!r} cannot be an ID",
            hint="use up to 128 letters, digits, '_', '.' and '-', a letter or digit first",
        )
    return id


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once, if they may be given.

    Raises:
        InvalidError: One is empty, or has control characters.
        LimitExceededError: `MAX_NAMES` or `MAX_NAME_LENGTH`.
        TypeError: One text is given for several.
    """
    if isinstance(names, str):
        raise TypeError(f"names are several texts, and {names!r} is one: give [{names!r}]")
    found = tuple(dict.fromkeys(names))
    if len(found) > MAX_NAMES:
        raise LimitExceededError(f"{len(found)} names", limit="MAX_NAMES", value=MAX_NAMES)
    for name in found:
        if len(name) > MAX_NAME_LENGTH:
            raise LimitExceededError(
                f"the name {name[:50]!r}…", limit="MAX_NAME_LENGTH", value=MAX_NAME_LENGTH
            )
        if not name or not name.isprintable():
            raise InvalidError(f"{name!r} cannot be a name", hint="use printable characters")
    return found


def check_metadata(metadata: str) -> str:
    """Metadata, if a record may hold them.

    Raises:
        LimitExceededError: `MAX_METADATA_SIZE`.
    """
    size = len(metadata.encode(errors="surrogatepass"))
    if size > MAX_METADATA_SIZE:
        raise LimitExceededError(
            f"{size} bytes of metadata",
            limit="MAX_METADATA_SIZE",
            value=MAX_METADATA_SIZE,
            hint="keep them as big data",
        )
    return metadata


def require_free(tx: Transaction, kind: ObjectKind, names: Iterable[str]) -> None:
    """Succeed if nothing of this kind is called any of these.

    Raises:
        AlreadyExistsError: Something is; it is told.
    """
    for name in names:
        taken = Names(tx).find(kind, name)
        if taken is not None:
            raise AlreadyExistsError(
                f"the name {name!r} is that of {kind} {taken}",
                hint="take it away first, or choose another one",
            )


def change_names(
    tx: Transaction,
    kind: ObjectKind,
    id: str,  # noqa: A002
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
) -> tuple[str, ...]:
    """Give names, or take them away, and return what it is called then.

    Raises:
        LimitExceededError: `MAX_NAMES`.
    """
    names = Names(tx)
    names.remove(kind, id, remove)
    names.add(kind, id, add)
    found = names.get(kind, id)
    if len(found) > MAX_NAMES:
        raise LimitExceededError(f"{len(found)} names", limit="MAX_NAMES", value=MAX_NAMES)
    return found
