"""JSON as the OCI documents use it: strict when read, compact and in order when written.

What Go, Python and jq would read differently is refused rather than guessed at, because a document
that one reader judges and another obeys must mean one thing: duplicate keys, NaN and infinities,
halves of surrogate pairs, byte order marks and encodings other than UTF-8.

Spec: image-spec v1.1, considerations.md, "JSON"; RFC 7493 (I-JSON), section 2.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidDocumentError, LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_DOCUMENT_SIZE: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 64

_SHOWN_KEY: Final = 100
_SURROGATES: Final = (b"\\ud", b"\\uD")
_INFINITY: Final = float("inf")
_BLANKS: Final = (b" ", b"\n", b"\t", b"\r")
_SPACED_COLON: Final = re.compile(rb'"[ \t\r\n]+:')


def decode_json(
    raw: bytes,
    *,
    limit: int = MAX_DOCUMENT_SIZE,
    named: str = "MAX_DOCUMENT_SIZE",
    what: str = "document",
) -> dict[str, object]:
    """Read one JSON object, of which every reader makes the same.

    Args:
        raw: The whole document, in UTF-8.
        limit: The most bytes that it may have.
        named: The name of that limit.
        what: What to call it in messages.

    Raises:
        InvalidDocumentError: It is no JSON, no object, or readers may disagree about it.
        LimitExceededError: It is too long or nested too deeply.
    """
    if len(raw) > limit:
        raise LimitExceededError(f"{what} has {len(raw)} bytes", limit=named, value=limit)
    text = _decode_utf8(raw, what)
    findings = _Findings()
    document = _load(text, what, findings)
    if type(document) is not dict:
        raise InvalidDocumentError(f"{what} is no JSON object", where="$")
    if _count_members(document, what) != _count_colons(raw):
        _refuse_twins(text)
    if findings.out_of_range or (b"\\" in raw and any(escape in raw for escape in _SURROGATES)):
        _refuse_unspeakable(document)
    return document


def encode_json(document: Mapping[str, object]) -> bytes:
    """The document as compact JSON in UTF-8, its members in the order given.

    Raises:
        ValueError: It holds what JSON cannot say, such as NaN.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def find_json(document: object, fits: Callable[[object], object]) -> str | None:
    """The JSON path of the first value that fits, parents before their children; None without one.

    A path is made of that value alone: there may be a million of them below keys of a megabyte.

    Args:
        document: Nested no deeper than `MAX_DEPTH`.
        fits: Whether a value is what is looked for.
    """
    if fits(document):
        return "$"
    if isinstance(document, dict):
        for key, child in document.items():
            if (below := find_json(child, fits)) is not None:
                return join("$", key) + below[1:]
    elif isinstance(document, list):
        for at, child in enumerate(document):
            if (below := find_json(child, fits)) is not None:
                return f"$[{at}]{below[1:]}"
    return None


def join(where: str, key: str) -> str:
    """The JSON path of a member; a key that is no name, or a long one, comes in quotes and cut."""
    plain = len(key) <= _SHOWN_KEY and key.isidentifier()
    return f"{where}.{key}" if plain else f"{where}[{key[:_SHOWN_KEY]!r}]"


class _Findings:
    """What the parser meets and cannot place, since it knows no paths."""

    __slots__ = ("out_of_range",)

    def __init__(self) -> None:
        self.out_of_range = False

    def number(self, text: str) -> float:
        """Read a number that is no integer, or `NaN`, `Infinity` and `-Infinity`."""
        value = float(text)
        self.out_of_range |= not -_INFINITY < value < _INFINITY
        return value


class _Twins:
    """The object in which a key comes twice.

    The last one is enough: whatever replaced it would have had twins and come later.
    """

    __slots__ = ("found", "key")

    def __init__(self) -> None:
        self.found: dict[str, object] | None = None
        self.key = ""

    def members(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        """Make an object of its members, and keep in mind which key came twice."""
        found = dict(pairs)
        if len(found) < len(pairs):
            self.found, self.key = found, _first_twice(pairs)
        return found


def _first_twice(pairs: list[tuple[str, object]]) -> str:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    return key


def _decode_utf8(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidDocumentError(
            f"{what} is not UTF-8 at offset {error.start}", where="$"
        ) from error


def _load(text: str, what: str, findings: _Findings) -> object:
    try:
        return json.loads(text, parse_float=findings.number, parse_constant=findings.number)
    except json.JSONDecodeError as error:
        raise InvalidDocumentError(f"{what} is not JSON: {error}", where="$") from error
    except RecursionError:
        raise _too_deep(what) from None
    except ValueError as error:  # Python reads no integer of more than some thousand digits.
        raise InvalidDocumentError(f"{what} holds an endless number", where="$") from error


def _too_deep(what: str) -> LimitExceededError:
    return LimitExceededError(f"{what} is nested too deeply", limit="MAX_DEPTH", value=MAX_DEPTH)


def _count_members(document: dict[str, object], what: str) -> int:
    """How many members all objects of the document have together, twins counted once."""
    count = 0
    level: list[dict[str, object] | list[object]] = [document]
    for _ in range(MAX_DEPTH):
        count += sum([len(value) for value in level if type(value) is dict])
        level = [
            child
            for value in level
            for child in (value.values() if type(value) is dict else value)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return count
    raise _too_deep(what)


def _count_colons(raw: bytes) -> int:
    """How many members the text has at most: more where a string begins with a colon."""
    spaced = any(blank in raw for blank in _BLANKS)
    return raw.count(b'":') + (len(_SPACED_COLON.findall(raw)) if spaced else 0)


def _refuse_twins(text: str) -> None:
    """Refuse a text in which a key comes twice, which takes a parser twice as long to see."""
    twins = _Twins()
    document = json.loads(text, object_pairs_hook=twins.members)
    if twins.found is not None:
        where = find_json(document, lambda value: value is twins.found)
        raise InvalidDocumentError(f"key {twins.key[:_SHOWN_KEY]!r} comes twice", where=where)


def _refuse_unspeakable(document: dict[str, object]) -> None:
    for message, is_flawed in _FLAWS.items():
        where = find_json(document, is_flawed)
        if where is not None:
            raise InvalidDocumentError(message, where=where)


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not -_INFINITY < value < _INFINITY


def _is_no_text(value: object) -> bool:
    return isinstance(value, str) and not _is_text(value)


def _has_no_text_as_key(value: object) -> bool:
    return isinstance(value, dict) and not all(map(_is_text, value))


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_FLAWS: Final = {
    "number is out of range": _is_no_number,
    "text holds half of a surrogate pair": _is_no_text,
    "key holds half of a surrogate pair": _has_no_text_as_key,
}
