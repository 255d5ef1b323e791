r"""A tree as text, and the differences between two trees.

The text is canonical: equal trees, and only those, give the same lines. One line a name, in
byte order of the paths:

    /usr/bin/perl f 0755 0:0 3904000 1700000000.000000000 links=2 xattr:user.note=626c7565 @1536

that is path, type (d f l c b p s), permission bits, owner, size (of a file), time, and where they
apply: `links=N`, `-> target`, `dev=major:minor`, `xattr:NAME=HEX`, `stored=START+LENGTH,…` and
`@OFFSET` with `data=True`. A further name of an inode says `= /first/name` instead. Bytes that are
no printable ASCII, and spaces and backslashes, appear as `\xNN`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orlop.tree.node import S_IFBLK, S_IFCHR, S_IFLNK, S_IFREG, Node, type_letters, walk

if TYPE_CHECKING:
    from collections.abc import Iterator


def dump(root: Node, *, data: bool = False) -> str:
    """The tree as canonical text.

    Args:
        root: The tree.
        data: Whether to say where the bytes of each file lie.
    """
    return "".join(f"{line}\n" for line in iter_lines(root, data=data))


def iter_lines(root: Node, *, data: bool = False) -> Iterator[str]:
    """The lines of `dump`, one by one."""
    links = link_counts(root)
    first: dict[int, bytes] = {}
    for path, node in walk(root):
        seen = first.setdefault(id(node), path)
        if seen is not path:
            yield f"/{escape(path)} = /{escape(seen)}"
        else:
            yield f"/{escape(path)} {describe(node, links[id(node)], data=data)}"


def describe(node: Node, links: int = 1, *, data: bool = False) -> str:
    """What a node is, without its name, as `dump` says it."""
    kind = node.type
    seconds, nanoseconds = divmod(node.mtime_ns, 1_000_000_000)
    words = [type_letters.get(kind, "?"), f"{node.mode & 0o7777:04o}", f"{node.uid}:{node.gid}"]
    if kind == S_IFREG:
        words.append(str(node.size))
    words.append(f"{seconds}.{nanoseconds:09d}")
    if links > 1:
        words.append(f"links={links}")
    if kind == S_IFLNK:
        words.append(f"-> {escape(node.target)}")
    elif kind in (S_IFCHR, S_IFBLK):
        words.append(f"dev={os.major(node.rdev)}:{os.minor(node.rdev)}")
    words.extend(f"xattr:{escape(name)}={node.xattrs[name].hex()}" for name in sorted(node.xattrs))
    if data and kind == S_IFREG:
        words.extend(_describe_data(node))
    return " ".join(words)


def _describe_data(node: Node) -> Iterator[str]:
    if node.segments is not None:
        yield "stored=" + ",".join(f"{start}+{length}" for start, length in node.segments)
    if node.source is not None:
        yield f"@{node.offset}"


def link_counts(root: Node) -> dict[int, int]:
    """How many names each inode has, by `id(node)`; directories have one."""
    counts: dict[int, int] = {}
    for _, node in walk(root):
        counts[id(node)] = counts.get(id(node), 0) + 1
    return counts


def iter_differences(left: Node, right: Node) -> Iterator[str]:
    """How two trees differ, in type, mode, owner, time, links, extended attributes and size.

    Content is not compared. Each difference is one line: `- ` what is only in `left`, `+ ` what is
    only in `right`; an inode that changed gives both.
    """
    ours = iter_lines(left)
    theirs = set(iter_lines(right))
    common = set()
    for line in ours:
        if line in theirs:
            common.add(line)
        else:
            yield f"- {line}"
    yield from (f"+ {line}" for line in iter_lines(right) if line not in common)


def escape(name: bytes) -> str:
    r"""A name as printable ASCII without spaces: other bytes as `\xNN`."""
    return "".join(
        chr(byte) if 0x21 <= byte <= 0x7E and byte != 0x5C else f"\\x{byte:02x}" for byte in name
    )
