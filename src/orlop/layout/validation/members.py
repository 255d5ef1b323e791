"""Checks of JSON objects, put together from what is asked of one value.

A *form* says what is wrong with a value, or None. A *check* says where in an object something is
wrong, and what. `null` counts as absent, and absent members have every form: what must be there is
`required`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from orlop.layout.validation.rule import MAX_SHOWN, shown
from orlop.mediatype import valid
from orlop.spec.descriptor import is_uri
from orlop.spec.json import join
from orlop.spec.members import MAX_INT64
from orlop.timestamp import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orlop.layout.validation.rule import Finding

    Object: TypeAlias = dict[str, object]
    Form: TypeAlias = Callable[[object], str | None]
    Check: TypeAlias = Callable[[Object], Iterable[Finding]]


def required(name: str) -> Check:
    """The member is there."""

    def check(members: Object) -> Iterator[Finding]:
        if members.get(name) is None:
            yield join("", name), "is null" if name in members else "is missing"

    return check


def member(name: str, form: Form) -> Check:
    """The member has this form."""

    def check(members: Object) -> Iterator[Finding]:
        value = members.get(name)
        if value is not None and (wrong := form(value)):
            yield join("", name), wrong

    return check


def each(name: str, form: Form) -> Check:
    """Each element of the array has this form, null too."""

    def check(members: Object) -> Iterator[Finding]:
        for path, value in items(members.get(name), join("", name)):
            if wrong := form(value):
                yield path, wrong

    return check


def values(name: str, form: Form) -> Check:
    """Each value of the object has this form, null too."""

    def check(members: Object) -> Iterator[Finding]:
        found, path = members.get(name), join("", name)
        for key, value in found.items() if isinstance(found, dict) else ():
            if wrong := form(value):
                yield join(path, key), wrong

    return check


def within(name: str, inner: Check) -> Check:
    """The check holds for the object that the member is, or for each object of the array."""

    def check(members: Object) -> Iterator[Finding]:
        value = members.get(name)
        here = join("", name)
        for path, each_value in items(value, here) if isinstance(value, list) else [(here, value)]:
            if isinstance(each_value, dict):
                for below, message in inner(each_value):
                    yield path + below, message

    return check


def items(value: object, path: str) -> Iterator[tuple[str, object]]:
    """The elements of an array with their JSON paths; nothing where it is none."""
    for at, element in enumerate(value if isinstance(value, list) else ()):
        yield f"{path}[{at}]", element


def string(value: object) -> str | None:
    """A string."""
    return None if isinstance(value, str) else "is no string"


def boolean(value: object) -> str | None:
    """True or false."""
    return None if type(value) is bool else "is neither true nor false"


def integer(value: object) -> str | None:
    """An integer of 64 bits."""
    fits = type(value) is int and -MAX_INT64 <= value <= MAX_INT64
    return None if fits else "is no integer of 64 bits"


def size(value: object) -> str | None:
    """A number of bytes."""
    if type(value) is int and value < 0:
        return "is negative"
    return integer(value)


def array(value: object) -> str | None:
    """An array."""
    return None if isinstance(value, list) else "is no array"


def mapping(value: object) -> str | None:
    """An object."""
    return None if isinstance(value, dict) else "is no object"


def empty_mapping(value: object) -> str | None:
    """An object without members, or the null that Go's decoder takes for one."""
    return "is no empty object" if value not in ({}, None) else None


def exactly(wanted: object) -> Form:
    """This value and no other."""

    def form(value: object) -> str | None:
        same = type(value) is type(wanted) and value == wanted
        said = shown(value) if isinstance(value, str) else json.dumps(value)[:MAX_SHOWN]
        return None if same else f"is {said}, and must be {wanted!r}"

    return form


def media_type(value: object) -> str | None:
    """A type and a subtype."""
    return _text(value, valid, "is no media type")


def uri(value: object) -> str | None:
    """A URI."""
    return _text(value, is_uri, "is no URI")


def moment(value: object) -> str | None:
    """A date and time of RFC 3339."""
    return _text(value, lambda text: parse_timestamp(text) is not None, "is no time of RFC 3339")


def _text(value: object, fits: Callable[[str], bool], wrong: str) -> str | None:
    if not isinstance(value, str):
        return "is no string"
    return None if fits(value) else f"{shown(value)} {wrong}"
