"""Digests: names of content by its hash.

Spec: image-spec v1.1, descriptor.md, "Digests".
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, Self, final

from orlop.errors import InvalidDigestError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from hashlib import _Hash as Hash

# algorithm ::= component (separator component)*; encoded ::= [a-zA-Z0-9=_-]+
_GRAMMAR: Final = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+", re.ASCII)
_MAX_LENGTH: Final = 512
_HEX: Final = {"sha256": 64, "sha384": 96, "sha512": 128, "blake3": 64}
_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
_is_sha256: Final = re.compile(r"sha256:[a-f0-9]{64}", re.ASCII).fullmatch
_LOWER_HEX: Final = re.compile(r"[a-f0-9]+", re.ASCII)


@final
class Digest(str):
    """The validated text `algorithm:encoded`, usable wherever a `str` is.

    The encoded part of the registered algorithms must be lowercase hexadecimal digits of their
    length; algorithms that are not registered pass when they fit the grammar, and cannot be
    computed here.

    Args:
        text: The digest, such as `sha256:2c26…`.

    Raises:
        InvalidDigestError: The text breaks the grammar or the algorithm's own form.

    Spec: image-spec v1.1, descriptor.md, "Digests" and "Registered Algorithms".
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Validate the text; a `Digest` is returned as it is."""
        if type(text) is cls:
            return text
        if not _is_sha256(text):
            _validate(text)
        return str.__new__(cls, text)

    @property
    def algorithm(self) -> str:
        """The part before the colon, such as `sha256`."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The part after the colon: hexadecimal digits for the registered algorithms."""
        return self.partition(":")[2]

    @property
    def computable(self) -> bool:
        """Whether content can be verified against this digest here."""
        return self.algorithm in _HASHES

    def hasher(self) -> Hash:
        """A new hash object of this digest's algorithm.

        Raises:
            UnsupportedError: The algorithm cannot be computed here.
        """
        return new_hash(self.algorithm)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, algorithm: str = "sha256") -> Digest:
        """The digest of `data`."""
        return digest_of(new_hash(algorithm, data))


def fits_grammar(text: str) -> bool:
    """Whether the text is `algorithm:encoded`, whatever the algorithm asks of the encoded part.

    Spec: image-spec v1.1, descriptor.md, "Digests".
    """
    return len(text) <= _MAX_LENGTH and _GRAMMAR.fullmatch(text) is not None


def _validate(text: str) -> None:
    if len(text) > _MAX_LENGTH or _GRAMMAR.fullmatch(text) is None:
        raise InvalidDigestError(f"{text[:100]!r} is no digest (algorithm:encoded)")
    algorithm, _, encoded = text.partition(":")
    length = _HEX.get(algorithm)
    if length is not None and (len(encoded) != length or _LOWER_HEX.fullmatch(encoded) is None):
        raise InvalidDigestError(
            f"{text[:100]!r} is no {algorithm} digest ({length} lowercase hexadecimal digits)"
        )


def plain_digest(text: str) -> Digest | None:
    """The digest in a text of the commonest form, SHA-256, at once; None for any other text."""
    return str.__new__(Digest, text) if _is_sha256(text) else None


def new_hash(algorithm: str, data: bytes | bytearray | memoryview = b"") -> Hash:
    """A hash object of the algorithm, fed with `data`.

    Raises:
        UnsupportedError: The algorithm cannot be computed here.
    """
    if algorithm not in _HASHES:
        raise UnsupportedError(
            f"digest algorithm {algorithm!r} cannot be computed",
            hint=f"use one of {', '.join(sorted(_HASHES))}",
        )
    import hashlib  # Whoever only compares digests need not load it.

    return hashlib.new(algorithm, data, usedforsecurity=False)


def digest_of(state: Hash) -> Digest:
    """The digest that a hash object has reached."""
    return Digest(f"{state.name}:{state.hexdigest()}")


@cache
def empty_digest(algorithm: str = "sha256") -> Digest:
    """The digest of no bytes at all."""
    return Digest.of(b"", algorithm)


def chain_ids(diff_ids: Iterable[Digest]) -> tuple[Digest, ...]:
    """The chainID of the stack up to each of these layers, the base first.

    Spec: image-spec v1.1, config.md, "Layer ChainID".
    """
    found: list[Digest] = []
    for diff_id in diff_ids:
        found.append(chain_on(found[-1] if found else None, diff_id))
    return tuple(found)


def chain_id(diff_ids: Iterable[Digest]) -> Digest | None:
    """The chainID of the whole stack, or None where it has no layer."""
    found = chain_ids(diff_ids)
    return found[-1] if found else None


def chain_on(parent: Digest | None, diff_id: Digest) -> Digest:
    """The chainID of a layer that stands on the stack with the chainID `parent`, or on nothing.

    Spec: image-spec v1.1, config.md, "Layer ChainID".
    """
    return diff_id if parent is None else Digest.of(f"{parent} {diff_id}".encode())
