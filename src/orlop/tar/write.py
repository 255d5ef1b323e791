"""Entries of a changeset as members of an archive: headers alone, the data are the caller's.

A member is a ustar header. What that cannot say stands in a PAX header before it, and nothing else
does, so that equal entries give equal bytes and old readers see as much as they can:

    path, linkpath     longer than the fields, or UTF-8 beyond ASCII, which ustar does not define
    size               from 8 GiB
    uid, gid           from 2097152
    mtime              a fraction of a second, before 1970, or from the year 2242
    SCHILY.xattr.*     extended attributes; LIBARCHIVE.xattr.* where `=` is in the name
    hdrcharset         BINARY, where one of the paths is not UTF-8 and does not fit the field

A name that is not UTF-8 stands in the field as it is, as every archiver writes it.

    changeset     member
    Put           directory `path/`, the root `./`; regular file, symbolic link, device, FIFO
    Link          hard link; all but the size is that of its inode, since readers apply it
    Whiteout      empty file `dir/.wh.name`
    Opaque        empty file `dir/.wh..wh..opq`

Spec: POSIX.1-2017, pax, "pax Interchange Format"; image-spec v1.1, layer.md, "Representing
Changes".
"""

from __future__ import annotations

import os
from base64 import b64encode
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from orlop.errors import LimitExceededError, UnsupportedError
from orlop.tar.entry import OPAQUE_NAME
from orlop.tar.header import BLOCK_SIZE, MalformedError, TooLargeError, byte_sum
from orlop.tar.limits import TarLimits
from orlop.tar.names import WHITEOUT_PREFIX, normalise, shown
from orlop.tar.pax import LIBARCHIVE_XATTR, SCHILY_XATTR
from orlop.tar.xattrs import check_xattrs
from orlop.tree import Link, Node, Opaque, Put, Whiteout
from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK

if TYPE_CHECKING:
    from orlop.tree import Entry

END_OF_ARCHIVE: Final = bytes(2 * BLOCK_SIZE)
"""What follows the last member."""

_pack: Final = Struct("100s24s12s12s8sc100s8s64x16s155s12x").pack
_MAGIC: Final = b"ustar\x0000"
_NO_DEVICE: Final = b"%07o\0%07o" % (0, 0)
_MEMO_SIZE: Final = 1024
_NO_SUM: Final = b" " * 8
_SUM_AT: Final = 148
_NAME_SIZE: Final = 100
_PREFIX_SIZE: Final = 155
_LARGEST_ID: Final = 0o7777777
_LARGEST_NUMBER: Final = 0o77777777777
_NANOSECONDS: Final = 1_000_000_000
_EXTENDED_NAME: Final = b"././@PaxHeader"
_ROOT_NAME: Final = b"./"

_KINDS: Final = {
    S_IFREG: b"0",
    S_IFLNK: b"2",
    S_IFCHR: b"3",
    S_IFBLK: b"4",
    S_IFDIR: b"5",
    S_IFIFO: b"6",
}
_LINK_KIND: Final = b"1"
_DEFAULT_LIMITS: Final = TarLimits()
_MARKER: Final = Node(S_IFREG | 0o600)


class _Member(NamedTuple):
    """What a member says; all that is not here its node says."""

    name: bytes
    kind: bytes
    link: bytes
    size: int
    node: Node


def encode_entry(
    entry: Entry,
    *,
    inode: Node | None = None,
    whiteouts: bool = True,
    limits: TarLimits = _DEFAULT_LIMITS,
) -> bytes:
    """The header blocks of an entry, so that `TarScanner` reads the entry from them again.

    Behind those of a regular file belong `node.size` bytes of data, holes as zeros, and the
    `padding` of that size. Every other entry is complete.

    Args:
        entry: The entry; where its data lie and which segments are stored does not matter.
        inode: For a `Link`, and only then, the inode at its target.
        whiteouts: Whether names with `.wh.` are markers, as for `TarScanner`; otherwise they are
            names like others, and there are no removals.
        limits: Bounds within which the archive has to be readable.

    Raises:
        LimitExceededError: A name, a link target or the attributes are over one of the limits.
        UnsupportedError: A tar cannot say it: a socket, a device number that Linux does not have,
            or a name that would be taken for a whiteout.
        ValueError: The entry is none: a path that is not normalised, a root that is no directory,
            a symbolic link without target, a hard link without `inode` or of a directory, a
            removal without `whiteouts`.
    """
    member = _member(entry, inode, whiteouts=whiteouts)
    try:
        _check(member, limits, whiteouts=type(entry) is Whiteout)
        fields = _fields_of(member.name)
        records = _records(member, named=fields is not None)
        if len(records) > limits.max_header_size:
            raise TooLargeError(f"an extended header has {len(records)} bytes", "max_header_size")
    except TooLargeError as error:
        message = f"{shown(member.name)}: {error}"
        value = getattr(limits, error.limit)
        raise LimitExceededError(message, limit=error.limit, value=value) from None
    except MalformedError as error:
        raise ValueError(str(error)) from None
    header = _header(member, fields)
    if not records:
        return header
    return b"".join((_extended_header(len(records)), records, padding(len(records)), header))


def padding(size: int) -> bytes:
    """The zeros that follow `size` bytes of data until the next block."""
    return bytes(-size % BLOCK_SIZE)


def _member(entry: Entry, inode: Node | None, *, whiteouts: bool) -> _Member:
    if type(entry) is Put:
        member = _put(entry.path, entry.node)
    elif type(entry) is Link:
        if inode is None or inode.is_dir or not entry.path:
            raise ValueError(f"the hard link {shown(entry.path)} names no inode that has links")
        member = _Member(entry.path, _LINK_KIND, entry.target, 0, inode)
    elif whiteouts:
        return _Member(_marker_name(entry), b"0", b"", 0, _MARKER)
    else:
        raise ValueError(f"the removal of {shown(entry.path)} in an archive without whiteouts")
    if whiteouts and entry.path.rpartition(b"/")[2].startswith(WHITEOUT_PREFIX):
        raise UnsupportedError(
            f"{shown(entry.path)} would be taken for a whiteout", hint="rename it, or leave it out"
        )
    return member


def _put(path: bytes, node: Node) -> _Member:
    if node.is_dir:
        return _Member(path + b"/" if path else _ROOT_NAME, b"5", b"", 0, node)
    if not path:
        raise ValueError("the root is not a directory")
    kind = node.type
    if kind == S_IFSOCK:
        raise UnsupportedError(
            f"{shown(path)} is a socket, for which tar has no type", hint="leave it out"
        )
    if kind not in _KINDS or (kind == S_IFLNK and not node.target):
        raise ValueError(f"{shown(path)} is no inode: mode {node.mode:o} without a target")
    return _Member(path, _KINDS[kind], node.target, node.size if kind == S_IFREG else 0, node)


def _marker_name(entry: Whiteout | Opaque) -> bytes:
    if type(entry) is Opaque:
        return entry.path + b"/" + OPAQUE_NAME if entry.path else OPAQUE_NAME
    directory, slash, name = entry.path.rpartition(b"/")
    if not name:
        raise ValueError("the root cannot be removed")
    return directory + slash + WHITEOUT_PREFIX + name


def _check(member: _Member, limits: TarLimits, *, whiteouts: bool) -> None:
    """Refuse what a reader with these limits would, or would take for something else."""
    path = normalise(member.name, limits, whiteouts=whiteouts)
    if member.name not in (path, path + b"/", _ROOT_NAME) or b"\0" in member.name + member.link:
        raise MalformedError(f"{shown(member.name)} is not normalised, or has a NUL in it")
    if len(member.link) > limits.max_path_size:
        raise TooLargeError("the target of the link is too long", "max_path_size")
    if member.node.xattrs:
        check_xattrs(member.node.xattrs, limits)


# What ustar cannot say.


def _records(member: _Member, *, named: bool) -> bytes:
    """The body of the extended header; empty where none is needed."""
    node = member.node
    found = []
    if not named:
        found.append((b"path", member.name))
    if member.link and not _fits(member.link, _NAME_SIZE):
        found.append((b"linkpath", member.link))
    if found and not all(_is_utf8(value) for _, value in found):
        found.insert(0, (b"hdrcharset", b"BINARY"))
    if member.size > _LARGEST_NUMBER:
        found.append((b"size", b"%d" % member.size))
    if not 0 <= node.uid <= _LARGEST_ID:
        found.append((b"uid", b"%d" % node.uid))
    if not 0 <= node.gid <= _LARGEST_ID:
        found.append((b"gid", b"%d" % node.gid))
    seconds, fraction = divmod(node.mtime_ns, _NANOSECONDS)
    if fraction or not 0 <= seconds <= _LARGEST_NUMBER:
        found.append((b"mtime", _time(node.mtime_ns)))
    if node.xattrs:
        found.extend(_xattr(name, node.xattrs[name]) for name in sorted(node.xattrs))
    return b"".join([_record(keyword, value) for keyword, value in found])


def _record(keyword: bytes, value: bytes) -> bytes:
    size = len(keyword) + len(value) + 3
    total = size + len(b"%d" % size)
    total = size + len(b"%d" % total)
    return b"%d %b=%b\n" % (total, keyword, value)


def _time(mtime_ns: int) -> bytes:
    seconds, nanoseconds = divmod(abs(mtime_ns), _NANOSECONDS)
    fraction = b".%09d" % nanoseconds if nanoseconds else b""
    return b"-" * (mtime_ns < 0) + b"%d" % seconds + fraction


def _xattr(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if b"=" not in name:
        return SCHILY_XATTR + name, value
    quoted = name.replace(b"%", b"%25").replace(b"=", b"%3D")
    return LIBARCHIVE_XATTR + quoted, b64encode(value)


def _fits(name: bytes, size: int) -> bool:
    """Whether a field of this size says the name to everybody."""
    return len(name) <= size and (name.isascii() or not _is_utf8(name))


def _fields_of(name: bytes) -> tuple[bytes, bytes] | None:
    """The name as prefix and name of ustar; None where it cannot be parted so."""
    if not _fits(name, _PREFIX_SIZE + 1 + _NAME_SIZE):
        return None
    if len(name) <= _NAME_SIZE:
        return b"", name
    slash = name.find(b"/", len(name) - _NAME_SIZE - 1)
    if 0 < slash <= _PREFIX_SIZE and slash < len(name) - 1:
        return name[:slash], name[slash + 1 :]
    return None


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# Blocks.


@lru_cache(_MEMO_SIZE)
def _extended_header(size: int) -> bytes:
    member = _Member(_EXTENDED_NAME, b"x", b"", size, Node(S_IFREG | 0o644))
    return _header(member, (b"", _EXTENDED_NAME))


def _header(member: _Member, fields: tuple[bytes, bytes] | None) -> bytes:
    """The ustar block; what does not fit is cut or zero, and said in the extended header."""
    name, kind, link, size, node = member
    prefix, name = fields or (b"", name[:_NAME_SIZE].rstrip(b"/"))
    block = _pack(
        name,
        _owner(node.mode, node.uid, node.gid),
        _octal(size),
        _octal(node.mtime_ns // _NANOSECONDS),
        _NO_SUM, kind, link, _MAGIC,
        _device(member) if kind in b"34" else _NO_DEVICE,
        prefix,
    )  # fmt: skip
    return b"%b%06o\0 %b" % (block[:_SUM_AT], byte_sum(block), block[_SUM_AT + 8 :])


@lru_cache(_MEMO_SIZE)
def _owner(mode: int, uid: int, gid: int) -> bytes:
    """The fields mode, uid and gid, which come again and again."""
    ids = [number if 0 <= number <= _LARGEST_ID else 0 for number in (uid, gid)]
    return b"%07o\0%07o\0%07o" % (mode & 0o7777, *ids)


def _octal(number: int) -> bytes:
    return b"%011o" % (number if 0 <= number <= _LARGEST_NUMBER else 0)


def _device(member: _Member) -> bytes:
    major, minor = os.major(member.node.rdev), os.minor(member.node.rdev)
    if major >= 1 << 12 or minor >= 1 << 20:
        raise UnsupportedError(f"{shown(member.name)}: Linux has no device {major}:{minor}")
    return b"%07o\0%07o" % (major, minor)
