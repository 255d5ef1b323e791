"""The members of a JSON object, asked for by name and type.

Spec: image-spec v1.1, considerations.md, "Extensibility".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from orlop.digest import Digest
from orlop.errors import InvalidDigestError, InvalidDocumentError, LimitExceededError
from orlop.mediatype import valid
from orlop.spec.json import join

if TYPE_CHECKING:
    from collections.abc import Container

MAX_STRINGS: Final = 65536
MAX_INT64: Final = 2**63 - 1

_T = TypeVar("_T")


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
        if value is None or isinstance(value, str):
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
        text = self.string(name)
        try:
            return Digest(text)
        except InvalidDigestError as error:
            raise self.invalid(name, str(error)) from error

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
            if not isinstance(value, str):
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
            if not isinstance(value, str):
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

    def refuse(self, names: Container[str], message: str) -> None:
        """Refuse the object where it has one of these members, in whatever case.

        Args:
            names: In lower case.
            message: What to say of such a member.
        """
        for key in self._left:
            if key.casefold() in names:
                raise self.invalid(key, message)

    def unknown(self) -> dict[str, object]:
        """What nobody has asked for, which is no error and is kept.

        The exception are keys that differ from a known one in nothing but case. Go's decoder, and
        so most of the tools that read the same document, takes them for the known one and lets
        the last of the two win; a strict reader sees another document than they do.

        Raises:
            InvalidDocumentError: A key is a known one in another case.

        Spec: image-spec v1.1, considerations.md, "Extensibility".
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
    if not isinstance(text, str):
        raise InvalidDocumentError("is no string", where=where)
    try:
        return Digest(text)
    except InvalidDigestError as error:
        raise InvalidDocumentError(str(error), where=where) from error
