"""Where in a blob an answer begins.

Spec: RFC 9110, section 14; distribution-spec v1.1, "Pulling blobs".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from orlop.errors import RegistryError, SizeMismatchError
from orlop.registry.text import shown

if TYPE_CHECKING:
    from orlop.registry.response import Response
    from orlop.spec.descriptor import Descriptor

_PARTIAL: Final = 206
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)", re.ASCII)
_UNSATISFIED: Final = re.compile(r"bytes \*/([0-9]{1,19})", re.ASCII)


def beginning(response: Response, descriptor: Descriptor, position: int) -> int:
    """The offset in the blob of the first byte of an answer.

    Args:
        response: An answer of status 200 or 206.
        descriptor: The blob.
        position: The offset that was asked for.

    Returns:
        `position`, or 0 when the server does not do ranges.

    Raises:
        SizeMismatchError: The blob there has another size.
        RegistryError: The answer is another part of the blob than the one asked for.
    """
    if response.status != _PARTIAL:
        _check_size(response.length, descriptor)
        return 0
    value = response.header("content-range") or ""
    match = _CONTENT_RANGE.fullmatch(value)
    if match is None:
        raise RegistryError(
            f"the part of {descriptor.digest} is not described: Content-Range {shown(value)}",
            status=_PARTIAL,
        )
    first, last = int(match[1]), int(match[2])
    _check_size(None if match[3] == "*" else int(match[3]), descriptor)
    if first != position or not first <= last < descriptor.size:
        raise RegistryError(
            f"bytes {position}- of {descriptor.digest} were asked for, {shown(value)} came",
            status=_PARTIAL,
        )
    return first


def check_unsatisfied(response: Response, descriptor: Descriptor) -> None:
    """Pass when a 416 leaves open that the whole blob can be had.

    Raises:
        SizeMismatchError: The blob there has another size.
    """
    match = _UNSATISFIED.fullmatch(response.header("content-range") or "")
    _check_size(int(match[1]) if match else None, descriptor)


def _check_size(size: int | None, descriptor: Descriptor) -> None:
    if size is not None and size != descriptor.size:
        raise SizeMismatchError(
            f"the registry's {descriptor.digest}", expected=descriptor.size, actual=size
        )
