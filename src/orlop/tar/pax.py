"""Extended headers: the records of PAX, and what they change in a member.

    LENGTH blank KEYWORD "=" VALUE newline    LENGTH is that of the whole record, in decimal

Applied are path, linkpath, size, uid, gid, mtime, SCHILY.xattr.*, LIBARCHIVE.xattr.*,
SCHILY.devmajor, SCHILY.devminor and GNU.sparse.*. All others (atime, ctime, uname, gname,
comment, SCHILY.acl.*, …) are passed over, as container tools do. The name behind `SCHILY.xattr.`
is taken as it stands.

An empty value takes back what a global header said, except for attributes, whose values may be
empty. A keyword that comes twice with different values is refused, although POSIX lets the last
one win: readers differ. For the same reason a global header may change neither name, size nor
device.

Spec: POSIX.1-2017, pax, "pax Header Block" and "pax Extended Header".
"""

from __future__ import annotations

import re
from typing import Final

from orlop.tar.header import MAX_SIZE, MalformedError
from orlop.tar.names import shown

SPARSE_MAP: Final = b"GNU.sparse.map"
SPARSE_PREFIX: Final = b"GNU.sparse."
SCHILY_XATTR: Final = b"SCHILY.xattr."
LIBARCHIVE_XATTR: Final = b"LIBARCHIVE.xattr."

_SPARSE_PAIR: Final = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
_NEWLINE: Final = 0x0A
_GLOBAL: Final = frozenset({b"mtime", b"uid", b"gid"})
_NOT_GLOBAL: Final = frozenset(
    {b"path", b"linkpath", b"size", b"SCHILY.devmajor", b"SCHILY.devminor", b"SCHILY.realsize"}
)
_MAX_DIGITS: Final = 20
_NANOSECONDS: Final = 1_000_000_000
_MAX_SECONDS: Final = (1 << 63) - 1
_TIME: Final = re.compile(rb"(-?)([0-9]{1,19})(?:\.([0-9]{0,64}))?")


def decode_records(body: bytes) -> dict[bytes, bytes]:
    """The records of an extended header by keyword.

    The repeated pairs of sparse format 0.0 come as the one map of format 0.1.

    Raises:
        MalformedError: A record's length is wrong, it has no keyword, or two contradict.
    """
    return _decode_lines(body) or _decode_any(body)


def _decode_lines(body: bytes) -> dict[bytes, bytes] | None:
    """The records where each is one line and all is in order, as nearly always; else None."""
    lines = body.split(b"\n")
    if lines.pop() or b"\0" in body:
        return None
    records = {}
    for line in lines:
        head, equals, value = line.partition(b"=")
        length, _, keyword = head.partition(b" ")
        if not keyword or not equals or length != b"%d" % (len(line) + 1):
            return None
        records[keyword] = value
    if len(records) != len(lines) or _SPARSE_PAIR[0] in records or _SPARSE_PAIR[1] in records:
        return None
    return records


def _decode_any(body: bytes) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    pairs: list[bytes] = []
    start, end = 0, len(body)
    while start < end:
        blank = body.find(b" ", start, start + _MAX_DIGITS)
        digits = body[start:blank] if blank > 0 else b""
        if not digits.isdigit():
            raise MalformedError("a PAX record does not begin with its length")
        stop = start + int(digits)
        if not blank + 2 < stop <= end or body[stop - 1] != _NEWLINE:
            raise MalformedError(f"a PAX record has the wrong length {digits!r}")
        keyword, equals, value = body[blank + 1 : stop - 1].partition(b"=")
        if not equals or not keyword or b"\0" in keyword:
            raise MalformedError("a PAX record has no keyword")
        if keyword in _SPARSE_PAIR:
            _add_to_pairs(pairs, keyword, value)
        elif records.setdefault(keyword, value) != value:
            raise MalformedError(f"two PAX records {shown(keyword)} contradict each other")
        start = stop
    if pairs:
        if SPARSE_MAP in records or len(pairs) % 2:
            raise MalformedError("the sparse map is ambiguous")
        records[SPARSE_MAP] = b",".join(pairs)
    return records


def _add_to_pairs(pairs: list[bytes], keyword: bytes, value: bytes) -> None:
    if keyword != _SPARSE_PAIR[len(pairs) % 2]:
        raise MalformedError("sparse offsets and lengths do not alternate")
    if not value:
        raise MalformedError("a sparse offset or length is empty")
    pairs.append(value)


def global_records(records: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """What a global header changes in members: times, owners and attributes.

    Raises:
        MalformedError: It would change where members lie or what they are.
    """
    for keyword in records:
        if keyword in _NOT_GLOBAL or keyword.startswith(SPARSE_PREFIX):
            raise MalformedError(f"a global PAX header sets {shown(keyword)}")
    return {
        keyword: value
        for keyword, value in records.items()
        if keyword in _GLOBAL or keyword.startswith((SCHILY_XATTR, LIBARCHIVE_XATTR))
    }


def decode_decimal(value: bytes, what: str, limit: int = MAX_SIZE) -> int:
    """The value of a record that holds a plain decimal number, 0 to `limit`.

    Raises:
        MalformedError: The value is something else.
    """
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise MalformedError(f"{what} is not a number: {value[:40]!r}")
    number = int(value)
    if number > limit:
        raise MalformedError(f"{what} is out of range: {number}")
    return number


def decode_time(value: bytes) -> int:
    """The nanoseconds of a time in seconds with a fraction; what is finer is rounded down.

    Raises:
        MalformedError: The value is no time.
    """
    seconds, _, fraction = value.partition(b".")
    if len(fraction) == 9 and 0 < len(seconds) < 19 and seconds.isdigit() and fraction.isdigit():
        return int(seconds + fraction)
    match = _TIME.fullmatch(value)
    if match is None or int(match[2]) > _MAX_SECONDS:
        raise MalformedError(f"mtime is not a time: {value[:40]!r}")
    sign, seconds, fraction = match.groups(b"")
    nanoseconds = int(seconds) * _NANOSECONDS + int(fraction[:9].ljust(9, b"0"))
    if not sign:
        return nanoseconds
    return -nanoseconds - (1 if fraction[9:].strip(b"0") else 0)


def decode_text(value: bytes, what: str) -> bytes:
    """A path in a record.

    Raises:
        MalformedError: A NUL is in it, so that readers would disagree.
    """
    if b"\0" in value:
        raise MalformedError(f"{what} has a NUL in it")
    return value
