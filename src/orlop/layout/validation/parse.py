"""Files of a layout as JSON objects, and the question whether orlop itself would take them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidDocumentError, LimitExceededError, OrlopError
from orlop.layout.validation.found import AGREED, READABLE, UNIQUE
from orlop.mediatype import is_config, is_index
from orlop.spec.config import ImageConfig
from orlop.spec.index import Index
from orlop.spec.json import decode_json
from orlop.spec.layout import MAX_INDEX_SIZE
from orlop.spec.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.layout.validation.members import Object
    from orlop.layout.validation.rule import Rule, Violation

_ANNOTATIONS: Final = (".annotations", ".Labels")


def parse(raw: bytes, where: str, rule: Rule[object]) -> Object | Violation:
    """The JSON object that a file is, or what keeps it from being one.

    Args:
        raw: The file, which whoever read it has bounded.
        where: Its path.
        rule: What says that it must be such an object.
    """
    try:
        return decode_json(raw, limit=MAX_INDEX_SIZE)
    except LimitExceededError as error:
        return READABLE.broken(where, str(error))
    except InvalidDocumentError as error:
        if (error.where or "").endswith(_ANNOTATIONS):
            return UNIQUE.broken(where, str(error))
        return (AGREED if _is_object(raw) else rule).broken(where, str(error))


def _is_object(raw: bytes) -> bool:
    """Whether a file is a JSON object by JSON's own grammar, which leaves much to its readers."""
    try:
        return isinstance(json.loads(raw.decode(), parse_constant=_refuse), dict)
    except (ValueError, RecursionError):
        return False


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def decode_strictly(raw: bytes, where: str, media_type: str) -> Iterator[Violation]:
    """What keeps orlop from a manifest, index or config that breaks no rule of the specification.

    Such are limits, and members that are told from known ones by nothing but case.
    """
    try:
        if is_config(media_type):
            ImageConfig.decode(raw, media_type)
        elif is_index(media_type):
            Index.decode(raw, media_type, limit=MAX_INDEX_SIZE, named="MAX_INDEX_SIZE")
        else:
            Manifest.decode(raw, media_type)
    except OrlopError as error:
        yield READABLE.broken(where, str(error))
