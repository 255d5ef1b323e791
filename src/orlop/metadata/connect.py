"""Opening a database: made when missing, led to today's schema, and refused when it is not ours."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import apsw

from orlop._sys.space import has_room
from orlop._sys.sync import sync_directory
from orlop.errors import InvalidError, UnsupportedError
from orlop.metadata.schema import APPLICATION_ID, STEPS, VERSION
from orlop.metadata.translate import SHARED_MEMORY_SIZE
from orlop.spec.members import MAX_INT64
from orlop.timestamp import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_TIMEOUT: Final = 60.0
"""Seconds to wait for the transactions of other processes."""

_LONGEST_PAUSE: Final = 0.05
_SPARE_SPACE: Final = 16384
"""Bytes for the names of SQLite's files, and for what others write at the same moment."""
_SETTINGS: Final = """
PRAGMA synchronous=FULL;
PRAGMA foreign_keys=ON;
PRAGMA trusted_schema=OFF;
PRAGMA cell_size_check=ON;
"""


class Connection(apsw.Connection):
    """A connection to a database.

    Attributes:
        syncs: Whether its transactions are on the disk when they end.
    """

    syncs: bool = True


def connect(path: str, *, read_only: bool = False) -> Connection:
    """A connection to a database that exists.

    Raises:
        UnsupportedError: It is on read-only media and was not closed clean.
        OSError: There is no space for the memory that its users share.
    """
    if not read_only:
        _require_space(path)
        connection = Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    elif _is_immutable(path):
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        connection = Connection(f"file:{_quote(path)}?immutable=1", flags=flags)
    else:
        connection = Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_handler(_wait)
    connection.execute(_SETTINGS)
    connection.create_scalar_function("time_ns", _time_ns, 1, deterministic=True)
    return connection


def prepare(path: str) -> Connection:
    """A connection to the database, which was made if it was missing, and has today's schema.

    Raises:
        UnsupportedError: A newer version of orlop has written it.
        InvalidError: It belongs to another program.
    """
    _create(path)
    connection = connect(path)
    try:
        if not is_current(connection, path):
            with _exclusive(os.path.dirname(path)):
                migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def inspect(path: str) -> Connection:
    """A connection that only reads, to a database that exists and has today's schema.

    Raises:
        UnsupportedError: An older or newer version of orlop has written it.
        InvalidError: It belongs to another program.
    """
    connection = connect(path, read_only=True)
    try:
        if not is_current(connection, path):
            raise UnsupportedError(
                f"database {path} has an older schema and is opened read-only",
                hint="open it once for writing",
            )
    except BaseException:
        connection.close()
        raise
    return connection


def is_current(connection: apsw.Connection, path: str) -> bool:
    """Whether the database has today's schema; older and empty ones have not.

    Raises:
        UnsupportedError: A newer version of orlop has written it.
        InvalidError: It belongs to another program.
    """
    version = _number(connection, "user_version")
    owner = _number(connection, "application_id")
    if owner != APPLICATION_ID and (owner or version or _has_tables(connection)):
        raise InvalidError("this database belongs to another program", where=path)
    if version > VERSION:
        raise UnsupportedError(
            f"database {path} has schema version {version}, and this orlop knows up to {VERSION}",
            hint="use the newer orlop that has written it",
        )
    return version == VERSION


def migrate(connection: apsw.Connection, path: str) -> None:
    """Lead the database to today's schema, wholly or not at all."""
    connection.execute("PRAGMA journal_mode=WAL")
    with transaction(connection, "BEGIN IMMEDIATE"):
        if is_current(connection, path):
            return
        for step in STEPS[_number(connection, "user_version") :]:
            if isinstance(step, str):
                connection.execute(step)
            else:
                step(connection)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={VERSION}")


@contextmanager
def synced(connection: Connection, *, durable: bool) -> Iterator[None]:
    """Let transactions be on the disk when they end, or when the next durable one does.

    Spec: SQLite, "PRAGMA synchronous": in WAL mode NORMAL loses transactions, and no consistency.
    """
    if connection.syncs != durable:
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.syncs = durable
    yield


@contextmanager
def transaction(connection: apsw.Connection, begin: str) -> Iterator[None]:
    """A transaction that is committed at the end of its block, and undone by an exception.

    Raises:
        UnsupportedError: The block was left by a forked child; nothing was done there.
    """
    process = os.getpid()
    connection.execute(begin)
    try:
        yield
        if process != os.getpid():
            raise UnsupportedError("a transaction was carried across a fork")
        connection.execute("COMMIT")
    except BaseException:
        if process == os.getpid() and connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _time_ns(*values: object) -> int | None:
    """What SQL knows as `time_ns(text)`: a moment in nanoseconds, NULL for what is none.

    What SQLite cannot count, before 1677 and after 2262, is the first or last moment that it can.
    """
    (text,) = values
    found = parse_timestamp(text) if isinstance(text, str) else None
    return None if found is None else min(max(found, -MAX_INT64), MAX_INT64)


def _wait(pauses: int) -> bool:
    # Here rather than in SQLite, so that the one who waits can be interrupted.
    time.sleep(min(0.001 * 2 ** min(pauses, 10), _LONGEST_PAUSE))
    return pauses * _LONGEST_PAUSE < BUSY_TIMEOUT


def _create(path: str) -> None:
    # SQLite would make it readable for others. Opened by nobody else: the name is new.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    sync_directory(os.path.dirname(path))


@contextmanager
def _exclusive(directory: str) -> Iterator[None]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _is_immutable(path: str) -> bool:
    """Whether nobody writes here, so that SQLite may leave out its locks, which need writing.

    That is so on read-only media, and in a directory that is not to be written to: SQLite itself
    could not read there what was closed clean.
    """
    try:
        read_only_media = os.statvfs(path).f_flag & os.ST_RDONLY
    except FileNotFoundError:
        return False
    try:
        clean = os.stat(f"{path}-wal").st_size == 0
    except FileNotFoundError:
        clean = True
    if not read_only_media:
        return clean and not os.access(os.path.dirname(path), os.W_OK)
    if not clean:
        raise UnsupportedError(
            f"database {path} is on read-only media and was not closed by its last user",
            hint="open the store once where it can be written, then copy it",
        )
    return True


def _require_space(path: str) -> None:
    """Succeed if the file of shared memory is there, or has room.

    SQLite writes a byte to each page of it, maps it, and is killed (SIGBUS) by the first page whose
    other blocks are not to be had.
    """
    try:
        missing = SHARED_MEMORY_SIZE - os.stat(f"{path}-shm").st_blocks * 512
    except FileNotFoundError:
        missing = SHARED_MEMORY_SIZE
    if missing > 0 and not has_room(os.path.dirname(path), missing + _SPARE_SPACE):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def _quote(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _number(connection: apsw.Connection, pragma: str) -> int:
    value = connection.pragma(pragma)
    assert isinstance(value, int)
    return value


def _has_tables(connection: apsw.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None
