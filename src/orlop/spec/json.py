"""JSON as the OCI documents use it: strict when read, compact and in order when written.

What Go, Python and jq would read differently is refused rather than guessed at, because a document
that is signed by one reader and run by another must mean one thing: duplicate keys, keys that
differ from known ones in nothing but case (Go takes them for those), NaN and infinities, lone
surrogates, byte order marks and encodings other than UTF-8.

Spec: image-spec v1.1, considerations.md, "JSON"; RFC 7493 (I-JSON).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeVar

from orlop.digest import Digest
from orlop.errors import InvalidDigestError, InvalidDocumentError, LimitExceededError
from orlop.mediatype import valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_DOCUMENT_SIZE: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_STRINGS: Final = 4096
MAX_INT64: Final = 2**63 - 1

_BOM: Final = b"\xef\xbb\xbf"
_INFINITY: Final = float("inf")
_T = TypeVar("_T")


def decode_json(
    raw: bytes, *, limit: int = MAX_DOCUMENT_SIZE, what: str = "document"
) -> dict[str, object]:
    """Read one JSON object, of which every reader makes the same.

    Args:
        raw: The whole document, in UTF-8.
        limit: The most bytes that it may have.
        what: What to call it in messages.

    Raises:
        InvalidDocumentError: It is no JSON, no object, or readers may disagree about it.
        LimitExceededError: It is too long or nested too deeply.
    """
    if len(raw) > limit:
        raise LimitExceededError(
            f"{what} has {len(raw)} bytes", limit="MAX_DOCUMENT_SIZE", value=limit
        )
    duplicates: list[tuple[dict[str, object], str]] = []

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            duplicates.append((found, _first_duplicate(pairs)))
        return found

    document = _load(_decode_utf8(raw, what), what, members)
    if not isinstance(document, dict):
        raise InvalidDocumentError(f"{what} is no JSON object", where="$")
    _check_depth(document, what)
    if duplicates:
        _refuse_duplicate(document, duplicates)
    _check_values(document, raw)
    return document


def encode_json(document: Mapping[str, object]) -> bytes:
    """The document as compact JSON in UTF-8, its members in the order given.

    Raises:
        ValueError: It holds what JSON cannot say, such as NaN.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _decode_utf8(raw: bytes, what: str) -> str:
    if raw.startswith(_BOM):
        raise InvalidDocumentError(f"{what} begins with a byte order mark", where="$")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidDocumentError(
            f"{what} is not UTF-8 at offset {error.start}", where="$"
        ) from error


def _load(
    text: str, what: str, members: Callable[[list[tuple[str, object]]], dict[str, object]]
) -> object:
    try:
        return json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise InvalidDocumentError(f"{what} is not JSON: {error}", where="$") from error
    except RecursionError:
        raise _too_deep(what) from None
    except ValueError as error:  # an integer of thousands of digits
        raise InvalidDocumentError(f"{what} holds an endless number: {error}", where="$") from error


def _too_deep(what: str) -> LimitExceededError:
    return LimitExceededError(f"{what} is nested too deeply", limit="MAX_DEPTH", value=MAX_DEPTH)


def _first_duplicate(pairs: Iterable[tuple[str, object]]) -> str:
    seen: set[str] = set()
    return next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def _refuse_duplicate(
    document: dict[str, object], duplicates: list[tuple[dict[str, object], str]]
) -> None:
    keys = {id(found): key for found, key in duplicates}
    for where, value in walk_json(document):
        if id(value) in keys:
            raise InvalidDocumentError(f"key {keys[id(value)]!r} comes twice", where=where)


def _check_depth(document: dict[str, object], what: str) -> None:
    level: list[object] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value)  # type: ignore[attr-defined]
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _too_deep(what)


def _check_values(document: dict[str, object], raw: bytes) -> None:
    """Refuse numbers that no double holds, and halves of surrogate pairs.

    Most documents hold nothing that could become either, which their bytes tell at once.
    """
    if not (b"\\ud" in raw or b"\\uD" in raw or b"N" in raw or b"I" in raw or _has_exponent(raw)):
        return
    for where, value in walk_json(document):
        if isinstance(value, float) and (value != value or abs(value) == _INFINITY):
            raise InvalidDocumentError("number is out of range", where=where)
        if isinstance(value, str) and not _is_text(value):
            raise InvalidDocumentError("text holds half a surrogate pair", where=where)
        if isinstance(value, dict) and not all(map(_is_text, value)):
            raise InvalidDocumentError("key holds half a surrogate pair", where=where)


def _has_exponent(raw: bytes) -> bool:
    return b"e" in raw or b"E" in raw


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def walk_json(document: object, where: str = "$") -> Iterator[tuple[str, object]]:
    """Every value of a document with its JSON path, parents before their children."""
    stack = [(where, document)]
    while stack:
        path, value = stack.pop()
        yield path, value
        if isinstance(value, dict):
            stack.extend((join(path, key), child) for key, child in value.items())
        elif isinstance(value, list):
            stack.extend((f"{path}[{at}]", child) for at, child in enumerate(value))


def join(where: str, key: str) -> str:
    """The JSON path of a member."""
    return f"{where}.{key}" if key.isidentifier() else f"{where}[{key!r}]"


class Members:
    """The members of one JSON object, asked for by name and type; what is left over is unknown.

    `null` counts as absent wherever a member may be absent.

    Args:
        value: What should be a JSON object.
        where: Its JSON path.

    Raises:
        InvalidDocumentError: It is no object; or, from every method, a member is not of its type.
        LimitExceededError: From the methods for arrays and maps: there are too many elements.

    Spec: image-spec v1.1, config.md: "Any OPTIONAL field MAY also be set to null, which is
    equivalent to being absent."
    """

    __slots__ = ("_asked", "_left", "where")

    def __init__(self, value: object, where: str) -> None:
        if type(value) is not dict:
            raise InvalidDocumentError("is no object", where=where)
        self._left: dict[str, object] = dict(value)
        self._asked: list[str] = []
        self.where = where

    def _take(self, name: str) -> object:
        self._asked.append(name)
        return self._left.pop(name, None)

    def invalid(self, name: str, message: str) -> InvalidDocumentError:
        """The error that says what is wrong with a member."""
        return InvalidDocumentError(message, where=join(self.where, name))

    def has(self, name: str) -> bool:
        """Whether the member is there and not yet asked for, be it null."""
        return name in self._left

    def peek(self, name: str) -> object:
        """Whatever is there, or None, without counting it as known."""
        return self._left.get(name)

    def require(self, name: str) -> None:
        """Refuse the object where it lacks the member, be it null."""
        if name not in self._left:
            raise self.invalid(name, "is missing")

    def _required(self, name: str, value: _T | None) -> _T:
        if value is None:
            raise self.invalid(name, "is missing")
        return value

    def optional_string(self, name: str) -> str | None:
        """The string, or None where there is none."""
        value = self._take(name)
        if value is None or type(value) is str:
            return value
        raise self.invalid(name, "is no string")

    def string(self, name: str) -> str:
        """The string that must be there."""
        return self._required(name, self.optional_string(name))

    def optional_integer(self, name: str) -> int | None:
        """The integer of 64 bits, or None where there is none; 1.0 and true are none."""
        value = self._take(name)
        if value is None:
            return None
        if type(value) is not int:
            raise self.invalid(name, "is no integer")
        if not -MAX_INT64 <= value <= MAX_INT64:
            raise self.invalid(name, "is out of range")
        return value

    def integer(self, name: str) -> int:
        """The integer that must be there."""
        return self._required(name, self.optional_integer(name))

    def size(self, name: str) -> int:
        """The number of bytes that must be there."""
        value = self.integer(name)
        if value < 0:
            raise self.invalid(name, "is negative")
        return value

    def flag(self, name: str) -> bool:
        """The boolean, False where there is none."""
        value = self._take(name)
        if value is None or type(value) is bool:
            return bool(value)
        raise self.invalid(name, "is neither true nor false")

    def digest(self, name: str) -> Digest:
        """The digest that must be there."""
        return as_digest(self.string(name), join(self.where, name))

    def optional_media_type(self, name: str) -> str | None:
        """The media type, or None where there is none.

        Spec: RFC 6838, section 4.2.
        """
        value = self.optional_string(name)
        if value is not None and not valid(value):
            raise self.invalid(name, f"{value[:100]!r} is no media type")
        return value

    def media_type(self, name: str) -> str:
        """The media type that must be there."""
        return self._required(name, self.optional_media_type(name))

    def array(self, name: str, *, limit: str, most: int) -> list[object]:
        """The array, empty where there is none.

        Args:
            name: Of the member.
            limit: The name of the limit to its length.
            most: The limit's value.
        """
        value = self._take(name)
        if value is None:
            return []
        if type(value) is not list:
            raise self.invalid(name, "is no array")
        self._check_count(name, len(value), limit, most)
        return value

    def strings(
        self, name: str, *, limit: str = "MAX_STRINGS", most: int = MAX_STRINGS
    ) -> tuple[str, ...]:
        """The array of strings, empty where there is none; arguments as for `array`."""
        values = self.array(name, limit=limit, most=most)
        for at, value in enumerate(values):
            if type(value) is not str:
                raise self.invalid(name, f"element {at} is no string")
        return tuple(values)  # type: ignore[arg-type]

    def mapping(
        self, name: str, *, limit: str = "MAX_STRINGS", most: int = MAX_STRINGS
    ) -> dict[str, object] | None:
        """The object, or None where there is none; arguments as for `array`."""
        value = self._take(name)
        if value is None:
            return None
        if type(value) is not dict:
            raise self.invalid(name, "is no object")
        self._check_count(name, len(value), limit, most)
        return value

    def string_map(self, name: str, *, limit: str, most: int) -> dict[str, str]:
        """The map from string to string, empty where there is none; arguments as for `array`."""
        found = self.mapping(name, limit=limit, most=most) or {}
        for key, value in found.items():
            if type(value) is not str:
                raise InvalidDocumentError("is no string", where=join(join(self.where, name), key))
        return found  # type: ignore[return-value]

    def names(self, name: str) -> tuple[str, ...]:
        """The keys of a map from string to empty object, which is Go's way to write a set."""
        found = self.mapping(name) or {}
        for key, value in found.items():
            if value is not None and type(value) is not dict:
                raise InvalidDocumentError("is no object", where=join(join(self.where, name), key))
        return tuple(found)

    def optional_members(self, name: str) -> Members | None:
        """The members of the object, or None where there is none."""
        value = self._take(name)
        return None if value is None else Members(value, join(self.where, name))

    def members(self, name: str) -> Members:
        """The members of the object that must be there."""
        return self._required(name, self.optional_members(name))

    def value(self, name: str) -> object:
        """Whatever is there, or None."""
        return self._take(name)

    def _check_count(self, name: str, count: int, limit: str, most: int) -> None:
        if count > most:
            raise LimitExceededError(
                f"{join(self.where, name)} has {count} elements", limit=limit, value=most
            )

    def refuse(self, names: Iterable[str], message: str) -> None:
        """Refuse the object where it has one of these members, in whatever case.

        Args:
            names: In lower case.
            message: What to say of such a member.
        """
        for key in self._left:
            if key.casefold() in names:
                raise self.invalid(key, message)

    def unknown(self) -> dict[str, object]:
        """What nobody has asked for.

        Raises:
            InvalidDocumentError: A key differs from a known one in nothing but case.
        """
        if self._left:
            known = {name.casefold(): name for name in self._asked}
            for key in self._left:
                if key.casefold() in known:
                    raise self.invalid(key, f"is spelt {known[key.casefold()]!r}")
        return self._left


def as_digest(text: object, where: str) -> Digest:
    """The text as a digest.

    Raises:
        InvalidDocumentError: It is none.
    """
    if type(text) is not str:
        raise InvalidDocumentError("is no string", where=where)
    try:
        return Digest(text)
    except InvalidDigestError as error:
        raise InvalidDocumentError(str(error), where=where) from error
