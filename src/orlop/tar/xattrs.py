"""Extended attributes in PAX records, which come in two forms.

SCHILY.xattr.NAME        the value as raw bytes (star, GNU tar, Go)
LIBARCHIVE.xattr.NAME    the name URL-encoded, the value in base64 (libarchive)
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING, Final

from orlop.tar.header import MalformedError, TooLargeError
from orlop.tar.names import shown
from orlop.tar.pax import LIBARCHIVE_XATTR, SCHILY_XATTR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.tar.limits import TarLimits

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")


def decode_xattrs(records: Mapping[bytes, bytes], limits: TarLimits) -> dict[bytes, bytes]:
    """The attributes among the records of an extended header.

    Raises:
        MalformedError: A name or value cannot be decoded, or both forms contradict each other.
        TooLargeError: A name, a value or the list of names is too long for Linux.
    """
    xattrs: dict[bytes, bytes] = {}
    for keyword, value in records.items():
        if keyword.startswith(SCHILY_XATTR):
            name = keyword[len(SCHILY_XATTR) :]
        elif keyword.startswith(LIBARCHIVE_XATTR):
            name = _unquote(keyword[len(LIBARCHIVE_XATTR) :])
            value = _decode_base64(value)
        else:
            continue
        if not name or b"\0" in name:
            raise MalformedError(f"an extended attribute has no proper name: {shown(name)}")
        if xattrs.setdefault(name, value) != value:
            raise MalformedError(f"two values of the attribute {shown(name)}")
    check_xattrs(xattrs, limits)
    return xattrs


def check_xattrs(xattrs: Mapping[bytes, bytes], limits: TarLimits) -> None:
    """Refuse what is too long for Linux.

    Raises:
        TooLargeError: A name, a value or the list of names is over its limit.
    """
    for name, value in xattrs.items():
        if len(name) > limits.max_xattr_name_size:
            raise TooLargeError("an attribute's name is too long", "max_xattr_name_size")
        if len(value) > limits.max_xattr_value_size:
            raise TooLargeError(f"the attribute {name!r} is too long", "max_xattr_value_size")
    if sum(map(len, xattrs)) + len(xattrs) > limits.max_xattr_list_size:
        raise TooLargeError("there are too many attributes", "max_xattr_list_size")


def _unquote(name: bytes) -> bytes:
    return _ESCAPE.sub(_decode_escape, name)


def _decode_escape(match: re.Match[bytes]) -> bytes:
    if match[1] is None:
        raise MalformedError("an extended attribute's name is not URL-encoded")
    return bytes.fromhex(match[1].decode("ascii"))


def _decode_base64(value: bytes) -> bytes:
    """Decode with or without padding: libarchive leaves it out."""
    bare = value.rstrip(b"=")
    try:
        return b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except ValueError:
        raise MalformedError("an extended attribute's value is not base64") from None
