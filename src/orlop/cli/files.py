"""`orlop ls` and `orlop cat`."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from typing import TYPE_CHECKING, Annotated

from orlop.cli.failure import for_each
from orlop.cli.parameter import Parameter
from orlop.cli.render import Format, clean, human_time, print_json
from orlop.cli.settings import open_for_reading

if TYPE_CHECKING:
    from orlop.storage.files import ImageFiles
    from orlop.tree import Node

_PIECE = 1 << 20


def list_files(
    image: str,
    path: str = "/",
    /,
    *,
    long: Annotated[bool, Parameter(alias="-l", negative="")] = False,
    recursive: Annotated[bool, Parameter(alias="-R", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """List files of an image, without mounting it.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        path: A directory or file in it; links are followed inside the image.
        long: Show type, permissions, owner, size and time too.
        recursive: List what is below, too, by paths from the root.
        format: How to print: table or json; json has everything.
    """
    with open_for_reading() as store, store.image(image).files() as files:
        entries = list(_entries(files, os.fsencode(path), recursive=recursive))
    if format == "json":
        print_json([_document(name, node) for name, node in entries])
        return
    for name, node in entries:
        print(_long_line(name, node) if long else shown(name))


def concatenate(image: str, path: str, /, *more: str) -> int:
    """Print files of an image to standard output, byte for byte, without mounting it.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        path: A file in it; links are followed inside the image.
        more: Further ones.
    """
    sys.stdout.flush()
    with open_for_reading() as store, store.image(image).files() as files:
        code = for_each((path, *more), lambda each: _print_file(files, each))
    sys.stdout.buffer.flush()
    return code


def _print_file(files: ImageFiles, path: str) -> None:
    with files.open(os.fsencode(path)) as file:
        shutil.copyfileobj(file, sys.stdout.buffer, _PIECE)


def _entries(files: ImageFiles, path: bytes, *, recursive: bool) -> list[tuple[bytes, Node]]:
    top = files.stat(path)
    if not top.is_dir:
        return [(path, top)]
    if not recursive:
        return files.list(path)
    found, pending = [], [path.strip(b"/")]
    while pending:
        here = pending.pop()
        below = [(here + b"/" + name if here else name, node) for name, node in files.list(here)]
        found += below
        pending += [name for name, node in below if node.is_dir]
    return sorted(found, key=lambda entry: entry[0].split(b"/"))


def _document(name: bytes, node: Node) -> dict[str, object]:
    """An entry for JSON; bytes that are no UTF-8 are written as escapes."""
    document: dict[str, object] = {
        "name": text_of(name),
        "type": _TYPES[stat.S_IFMT(node.mode)],
        "mode": f"{stat.S_IMODE(node.mode):04o}",
        "uid": node.uid,
        "gid": node.gid,
        "size": node.size,
        "mtime_ns": node.mtime_ns,
    }
    if node.target:
        document["target"] = text_of(node.target)
    if node.rdev:
        document["device"] = [os.major(node.rdev), os.minor(node.rdev)]
    if node.xattrs:
        document["xattrs"] = {text_of(key): value.hex() for key, value in node.xattrs.items()}
    return document


def _long_line(name: bytes, node: Node) -> str:
    size = f"{os.major(node.rdev)}, {os.minor(node.rdev)}" if node.rdev else str(node.size)
    target = f" -> {shown(node.target)}" if node.target else ""
    owner = f"{node.uid}:{node.gid}"
    mode = stat.filemode(node.mode)
    return f"{mode} {owner:>11} {size:>11} {human_time(node.mtime_ns)} {shown(name)}{target}"


def shown(name: bytes) -> str:
    """A name for a terminal: as it is where it is harmless text, else with escapes."""
    return clean(text_of(name))


def text_of(name: bytes) -> str:
    """A name as text; bytes that are no UTF-8 are written as escapes."""
    return name.decode("utf-8", "backslashreplace")


_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
