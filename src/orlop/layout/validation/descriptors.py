"""What the specification says of descriptors, their digests, platforms and annotations.

Spec: image-spec v1.1, descriptor.md; image-index.md, "platform"; annotations.md.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Final

from orlop.digest import Digest, fits_grammar
from orlop.errors import InvalidDigestError
from orlop.layout.validation.members import (
    array,
    each,
    mapping,
    media_type,
    member,
    moment,
    required,
    size,
    string,
    uri,
    values,
    within,
)
from orlop.layout.validation.rule import Rule, shown
from orlop.spec.json import join
from orlop.spec.layout import REF_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.layout.validation.members import Check, Form, Object
    from orlop.layout.validation.rule import Finding

_PROPERTIES: Final = 'descriptor.md, "Properties"'
_DIGESTS: Final = 'descriptor.md, "Digests"'
_SHA256: Final = 'descriptor.md, "SHA-256"'
_SHA512: Final = 'descriptor.md, "SHA-512"'
_PLATFORM: Final = 'image-index.md, "Image Index Property Descriptions"'
_ANNOTATIONS: Final = 'annotations.md, "Rules"'
_KEYS: Final = 'annotations.md, "Pre-Defined Annotation Keys"'

# Separators stand between letters and digits, one by one, but for a double hyphen.
_REF_COMPONENT: Final = r"[A-Za-z0-9]+(?:(?:--|[-._:@+])[A-Za-z0-9]+)*"
_REF: Final = re.compile(rf"{_REF_COMPONENT}(?:/{_REF_COMPONENT})*", re.ASCII)
_PREFIX: Final = "org.opencontainers."
_IMAGE_PREFIX: Final = "org.opencontainers.image."
_CREATED: Final = f"{_IMAGE_PREFIX}created"
_BASE: Final = f"{_IMAGE_PREFIX}base.digest"
_IMAGE_KEYS: Final = frozenset(
    _IMAGE_PREFIX + name
    for name in (
        "created", "authors", "url", "documentation", "source", "version", "revision", "vendor",
        "licenses", "ref.name", "title", "description", "base.digest", "base.name",
    )
)  # fmt: skip


def digest_text(value: object) -> str | None:
    """A digest by the grammar alone."""
    if not isinstance(value, str):
        return "is no string"
    return None if fits_grammar(value) else f"{shown(value)} is no digest (algorithm:encoded)"


def registered(algorithm: str, digits: int) -> Form:
    """A digest of this algorithm is written as the algorithm says."""

    def form(value: object) -> str | None:
        if digest_text(value) or not str(value).startswith(f"{algorithm}:"):
            return None
        encoded = str(value).partition(":")[2]
        if len(encoded) == digits and set(encoded) <= set("0123456789abcdef"):
            return None
        return f"{shown(str(value))} does not have {digits} lowercase hexadecimal digits"

    return form


def as_digest(value: object) -> Digest | None:
    """The digest that a value is, or None where it is none."""
    try:
        return Digest(value) if isinstance(value, str) else None
    except InvalidDigestError:
        return None


def embedded(members: Object) -> bytes | None:
    """The content that a descriptor embeds, or None where it has none that can be read."""
    text = members.get("data")
    try:
        return binascii.a2b_base64(text, strict_mode=True) if isinstance(text, str) else None
    except ValueError:
        return None


def _base64(value: object) -> str | None:
    if not isinstance(value, str):
        return "is no string"
    return "is not base64" if embedded({"data": value}) is None else None


def _embeds_the_content(members: Object) -> Iterator[Finding]:
    data, digest = embedded(members), as_digest(members.get("digest"))
    if data is None:
        return
    length = members.get("size")
    if type(length) is int and length != len(data):
        yield ".data", f"has {len(data)} bytes, and the descriptor says {length}"
    elif digest is not None and digest.computable and Digest.of(data, digest.algorithm) != digest:
        yield ".data", f"is not the content of {digest}"


def _no_null(name: str) -> Check:
    def check(members: Object) -> Iterator[Finding]:
        if name in members and members[name] is None:
            yield join("", name), "is null, neither absent nor an empty map"

    return check


def _reserved(annotations: Object) -> Iterator[Finding]:
    for key in annotations:
        if key.startswith(_PREFIX) and key not in _IMAGE_KEYS:
            yield join("", key), "is a reserved key, and image-spec 1.1 does not define it"


def _ref_name(value: object) -> str | None:
    if not isinstance(value, str):
        return None  # Another rule's.
    return None if _REF.fullmatch(value) else f"{shown(value)} is no valid reference"


def annotated(name: str) -> tuple[Rule[Object], ...]:
    """The rules for an object whose member of this name holds annotations."""

    def key(key: str, form: Form) -> Check:
        return within(name, member(key, form))

    return (
        Rule(_ANNOTATIONS, f"{name} is absent or a map", _no_null(name)),
        Rule(_ANNOTATIONS, f"{name} is a map", member(name, mapping)),
        Rule(_ANNOTATIONS, f"each value of {name} is a string", values(name, string)),
        Rule(_ANNOTATIONS, f"{name} has no foreign key of OCI's", within(name, _reserved), "note"),
        Rule(_KEYS, f"created in {name} is a time", key(_CREATED, moment), "note"),
        Rule(_KEYS, f"base.digest in {name} is a digest", key(_BASE, digest_text), "note"),
        Rule(_KEYS, f"ref.name in {name} fits the grammar", key(REF_NAME, _ref_name), "note"),
    )


PLATFORM: Final[tuple[Rule[Object], ...]] = (
    Rule(_PLATFORM, "platform is an object", member("platform", mapping)),
    *(
        Rule(_PLATFORM, f"platform.{name} is {what}", within("platform", check))
        for name, what, check in (
            ("architecture", "there", required("architecture")),
            ("architecture", "a string", member("architecture", string)),
            ("os", "there", required("os")),
            ("os", "a string", member("os", string)),
            ("os.version", "a string", member("os.version", string)),
            ("os.features", "an array", member("os.features", array)),
            ("os.features", "an array of strings", each("os.features", string)),
            ("variant", "a string", member("variant", string)),
        )
    ),
)

DESCRIPTOR: Final[tuple[Rule[Object], ...]] = (
    Rule(_PROPERTIES, "mediaType is there", required("mediaType")),
    Rule(_PROPERTIES, "mediaType fits RFC 6838", member("mediaType", media_type)),
    Rule(_PROPERTIES, "digest is there", required("digest")),
    Rule(_DIGESTS, "digest fits the grammar", member("digest", digest_text)),
    Rule(_SHA256, "a SHA-256 digest is hexadecimal", member("digest", registered("sha256", 64))),
    Rule(_SHA512, "a SHA-512 digest is hexadecimal", member("digest", registered("sha512", 128))),
    Rule(_PROPERTIES, "size is there", required("size")),
    Rule(_PROPERTIES, "size is a number of bytes", member("size", size)),
    Rule(_PROPERTIES, "urls is an array", member("urls", array)),
    Rule(_PROPERTIES, "each of urls fits RFC 3986", each("urls", uri)),
    Rule(_PROPERTIES, "data is base64", member("data", _base64)),
    Rule(_PROPERTIES, "data is the content", _embeds_the_content),
    Rule(_PROPERTIES, "artifactType fits RFC 6838", member("artifactType", media_type)),
    *PLATFORM,
    *annotated("annotations"),
)
"""What holds for every descriptor; what it says of other content is looked at there."""
