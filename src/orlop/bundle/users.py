"""Who a container runs as, looked up in the container's own files.

`etc/passwd` and `etc/group` are opened as a process would that is rooted in the container, so that
a symbolic link leads nowhere outside; what is no regular file is never opened, and no more of a
file is read than `MAX_USER_FILE_SIZE`. A line that is none is passed over, as the C library does.

Spec: image-spec v1.1, config.md, "User"; conversion.md, "Config.User".
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop._sys.handle import Fd, fd_path
from orlop._sys.openat2 import open_in_root
from orlop.errors import InvalidError, LimitExceededError, NotFoundError, UnsafePathError
from orlop.idmap import MAX_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.spec.runtime import WantedUser

MAX_USER_FILE_SIZE: Final = 4 << 20
"""The most bytes that a container's list of users or groups may have."""
PASSWD: Final = b"etc/passwd"
GROUP: Final = b"etc/group"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundUser:
    """Who somebody is in a container.

    Attributes:
        uid: The user.
        gid: The main group.
        groups: Further groups, in ascending order.
        home: The home directory; the root directory where none is known.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    id: int
    fields: list[bytes]


def find_user(root: int, wanted: WantedUser) -> FoundUser:
    """Who `wanted` is in the container whose root directory is `root`.

    A user or group that is a number need not be in any list, and a list of users that is none does
    not matter then. A user that is given by name, and without a group, has the further groups that
    list its name.

    Args:
        root: A handle of the directory.
        wanted: Whom to look for.

    Raises:
        NotFoundError: There is no such user or group.
        InvalidError: It is no user; or a list that is needed is no regular file.
        LimitExceededError: Such a list is too long.
        UnsafePathError: Such a list lies behind a link that leads nowhere.
    """
    user, colon, group = wanted.text.partition(":")
    if ":" in group or (colon and not group):
        raise InvalidError(f"{wanted.text[:100]!r} is no user", hint="write USER or USER:GROUP")
    number = _number(user or "0")
    try:
        users = list(_entries(root, PASSWD, id_at=2, fields=4))
    except (InvalidError, LimitExceededError, UnsafePathError):
        if number is None:
            raise
        users = []
    if number is None:
        name = os.fsencode(user)
        entry = next((each for each in users if each.name == name), None)
        if entry is None:
            raise NotFoundError(
                f"user {user[:100]!r} is not in the container's /etc/passwd",
                hint="give its number, or another user",
            )
        uid = entry.id
    else:
        uid = number
        entry = next((each for each in users if each.id == uid), None)
    if group:
        gid = _group(root, group)
        groups: tuple[int, ...] = ()
    else:
        gid = _number(os.fsdecode(entry.fields[3])) or 0 if entry else 0
        named = entry is not None and (number is None or wanted.groups_of_uid)
        groups = _groups(root, entry.name, gid) if entry is not None and named else ()
    home = entry.fields[5] if entry is not None and len(entry.fields) > 5 else b""
    return FoundUser(uid=uid, gid=gid, groups=groups, home=os.fsdecode(home) or "/")


def _group(root: int, text: str) -> int:
    number = _number(text)
    if number is not None:
        return number
    name = os.fsencode(text)
    for entry in _entries(root, GROUP, id_at=2, fields=3):
        if entry.name == name:
            return entry.id
    raise NotFoundError(
        f"group {text[:100]!r} is not in the container's /etc/group",
        hint="give its number, or another group",
    )


def _groups(root: int, user: bytes, main: int) -> tuple[int, ...]:
    found = {
        entry.id
        for entry in _entries(root, GROUP, id_at=2, fields=4)
        if user in entry.fields[3].split(b",")
    }
    return tuple(sorted(found - {main}))


def _number(text: str) -> int | None:
    """The id that a text is; None where it is a name.

    Raises:
        InvalidError: It is a number that is no id.
    """
    if not (text.isascii() and text.isdigit()):
        return None
    if len(text) > 10 or int(text) > MAX_ID:
        raise InvalidError(f"{text[:20]} is no id", hint=f"ids go from 0 to {MAX_ID}")
    return int(text)


def _entries(root: int, path: bytes, *, id_at: int, fields: int) -> Iterator[_Entry]:
    for line in read_small_file(root, path).split(b"\n"):
        parts = line.split(b":")
        text = parts[id_at] if len(parts) >= fields else b""
        if parts[0] and text.isdigit() and len(text) <= 10 and int(text) <= MAX_ID:
            yield _Entry(parts[0].strip(), int(text), parts)


def read_small_file(root: int, path: bytes) -> bytes:
    """A file of a container, whole; nothing where it is not there.

    Raises:
        InvalidError: It is no regular file.
        LimitExceededError: `MAX_USER_FILE_SIZE`.
        UnsafePathError: It lies behind links that lead in circles, or out by a magic link.
        OSError: It cannot be read.
    """
    shown = f"/{os.fsdecode(path)}"
    try:
        found = Fd(open_in_root(root, path, os.O_PATH))
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EXDEV}:
            raise UnsafePathError(
                "lies behind a link that leads nowhere inside the container", where=shown
            ) from None
        raise
    with found:
        if not stat.S_ISREG(os.fstat(found.fileno()).st_mode):
            raise InvalidError("is no regular file, and tells of no users", where=shown)
        with open(fd_path(found), "rb") as file:
            data = file.read(MAX_USER_FILE_SIZE + 1)
    if len(data) > MAX_USER_FILE_SIZE:
        raise LimitExceededError(
            f"{shown} of the container is too long",
            limit="MAX_USER_FILE_SIZE",
            value=MAX_USER_FILE_SIZE,
        )
    return data
