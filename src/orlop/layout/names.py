"""What an image is called by the place that it lies in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidReferenceError
from orlop.layout.place import is_selector
from orlop.reference import DEFAULT_TAG, MAX_TAG_LENGTH, Reference
from orlop.spec.layout import CONTAINERD_NAME, REF_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.layout.place import Place
    from orlop.spec.descriptor import Descriptor

_SUFFIXES: Final = re.compile(r"(?:\.(?:tar|tgz|gz|zst|oci|docker))+$", re.IGNORECASE)
_NOT_IN_NAME: Final = re.compile(r"[^a-z0-9]+", re.ASCII)
_NOT_IN_TAG: Final = re.compile(r"[^A-Za-z0-9_.-]+", re.ASCII)
_MAX_NAME_LENGTH: Final = 128
# What is plainly a full name: two components below a domain with a dot, and a tag.
_PLAIN: Final = re.compile(
    r"[a-z0-9]+(?:\.[a-z0-9]+)+(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*){2,}:[A-Za-z0-9_][A-Za-z0-9_.-]*",
    re.ASCII,
)
_MAX_PLAIN_LENGTH: Final = 100


def full_name(text: str) -> str | None:
    """The full form of a reference, with the tag `latest` if it has none; None if it is no name.

    A bare word is a tag, not a name: it must have a slash or a colon.
    """
    if "/" not in text and ":" not in text:
        return None
    if is_plainly_full(text):
        return text
    try:
        return str(Reference.parse(text).with_default_tag())
    except InvalidReferenceError:
        return None


def is_plainly_full(text: str) -> bool:
    """Whether a text is the full form of a reference at first sight, without being taken apart."""
    return (
        len(text) <= _MAX_PLAIN_LENGTH
        and _PLAIN.fullmatch(text) is not None
        and not text.startswith("index.docker.io/")
    )


def same_name(one: str, other: str) -> bool:
    """Whether two texts name the same image, whatever a default has shortened."""
    return one == other or ((full := full_name(one)) is not None and full == full_name(other))


def names_of(descriptor: Descriptor) -> tuple[str, ...]:
    """The full references that a descriptor's annotations give, containerd's first."""
    texts = (descriptor.annotations.get(key) for key in (CONTAINERD_NAME, REF_NAME))
    return unique(name for text in texts if text and (name := full_name(text)))


def ref_name_of(descriptor: Descriptor) -> str | None:
    """The annotation ref.name, where it may choose an image: None for a path or a control code."""
    text = descriptor.annotations.get(REF_NAME, "")
    return text if is_selector(text) else None


def fallback_name(place: Place, tag: str | None = None) -> str:
    """A name for an image whose place gives it none: `localhost/NAME:TAG`.

    Args:
        place: Whose last path component, without the suffixes of archives, is made the NAME.
        tag: What the place calls the image, such as its ref.name; the place's selector where None.
    """
    stem = _SUFFIXES.sub("", place.path.absolute().name)
    name = _NOT_IN_NAME.sub("-", stem.lower())[:_MAX_NAME_LENGTH].strip("-") or "image"
    return f"localhost/{name}:{_tag(tag or place.selector or '')}"


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """The names in their order, each once."""
    return tuple(dict.fromkeys(names))


def _tag(text: str) -> str:
    """The tag in a tag, a name or a position, made one that the grammar allows."""
    _, slash, last = text.partition("@")[0].rpartition("/")
    _, colon, tag = last.rpartition(":")
    if slash and not colon:
        return DEFAULT_TAG
    return _NOT_IN_TAG.sub("-", tag).lstrip(".-")[:MAX_TAG_LENGTH] or DEFAULT_TAG
