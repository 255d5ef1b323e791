"""The database of a store: short transactions for any number of threads and processes.

    ROOT/orlop.db       SQLite in WAL mode, synchronous=FULL: what was committed outlives power loss
    ROOT/orlop.db-wal   there while anybody has it open, or after a crash

Writers take their turn from the start (`BEGIN IMMEDIATE`), so none of them ever has to give up
half-way; readers see one snapshot and wait for nobody. A transaction holds one connection of a
pool, and no transaction is held during bulk work.

SQLite must not be carried across a fork. Before a fork the idle connections are closed; if a
transaction is open at that moment, the child is refused the database.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self, final

import apsw

from orlop._sys.spawn import becomes_program
from orlop.errors import InUseError, InvalidError, UnsupportedError
from orlop.metadata.connect import BUSY_TIMEOUT, connect, inspect, prepare, synced, transaction
from orlop.metadata.translate import translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from orlop.metadata.connect import Connection

Row = tuple[Any, ...]
Value = str | bytes | int | None
Values = tuple[Value, ...] | dict[str, Value]

_MAX_IDLE: Final = 4
_opening = threading.Lock()
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_refused: set[str] = set()


@final
class Transaction:
    """What may be asked inside `Database.read` and `Database.write`.

    What a record may not be is told by AlreadyExistsError, NotFoundError (it refers to a record
    that is missing) or ValueError; text that is not UTF-8, such as some paths, by InvalidError.

    Args:
        connection: Where the transaction was begun.
        path: The database, for messages.
    """

    __slots__ = ("_connection", "_path")

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    def execute(self, sql: str, values: Values = ()) -> int:
        """Execute a statement; how many rows it changed."""
        self._run(sql, values)
        return self._connection.changes()

    def execute_many(self, sql: str, rows: Iterable[tuple[Value, ...]]) -> None:
        """Execute a statement once for each row of values."""
        for row in rows:
            self._run(sql, row)

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """The rows of a query, all of them: none is read after the transaction."""
        return self._run(sql, values)

    def row(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a query that finds a few, or None."""
        found = self._run(sql, values)
        return found[0] if found else None

    def _run(self, sql: str, values: Values) -> list[Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise translate(error, self._path) from error
        except UnicodeEncodeError as error:
            raise _no_text(error) from error


@final
class Database:
    """The database of a store; made by `open`.

    Args:
        path: Its absolute path.
        read_only: Whether transactions that write are refused.
    """

    def __init__(self, path: str, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._idle: list[Connection] = []
        self._pool = threading.Lock()
        self._turn = threading.Lock()
        self._writer = 0
        self._busy = 0
        self._closed = False
        _databases.add(self)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, read_only: bool = False) -> Self:
        """The database at a path, made when missing and led to today's schema.

        On read-only media it must have been closed clean.

        Args:
            path: The file; its directory exists.
            read_only: Refuse to write; the database exists and has today's schema.

        Raises:
            UnsupportedError: A newer orlop has written it; or an older one, and it is opened
                read-only; or it is on read-only media and was not closed clean; or this process
                was forked while the database was in use.
            InvalidError: It belongs to another program, or is damaged; or its path is not UTF-8.
            OSError: It cannot be opened or made.
        """
        begin = inspect if read_only else prepare
        with _opening:
            database = cls(os.path.realpath(path), read_only=read_only)
            database._require_usable()
            with database._translated():
                try:
                    database._idle.append(begin(database.path))
                except UnicodeEncodeError as error:
                    raise _no_text(error) from error
        return database

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that reads one snapshot.

        Raises:
            InvalidError: The database is damaged.
            OSError: It cannot be read.
        """
        with self._connection() as connection, transaction(connection, "BEGIN"):
            yield Transaction(connection, self.path)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Transaction]:
        """A transaction that alone writes: durable when its block ends, undone by an exception.

        Args:
            durable: False for what means nothing after a crash of the machine, such as mounts: it
                may then be undone by one, but not in part, and not what was committed before.

        Raises:
            InUseError: Others wrote for longer than `BUSY_TIMEOUT`.
            InvalidError: The database is damaged.
            OSError: It cannot be written (ENOSPC, EROFS, EIO).
            ValueError: This thread has a transaction that writes already.
        """
        with (
            self._my_turn(),
            self._connection() as connection,
            synced(connection, durable=durable),
            transaction(connection, "BEGIN IMMEDIATE"),
        ):
            yield Transaction(connection, self.path)

    def close(self) -> None:
        """Close what is idle now and the rest when its transaction ends."""
        self._closed = True
        with self._pool:
            self._drain()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        self._require_usable()
        with self._translated():
            connection = self._take()
            process = os.getpid()
            try:
                yield connection
            finally:
                self._put(connection, process)

    def _take(self) -> Connection:
        with self._pool:
            self._busy += 1
            if self._idle:
                return self._idle.pop()
        try:
            return connect(self.path, read_only=self.read_only)
        except BaseException:
            with self._pool:
                self._busy -= 1
            raise

    def _put(self, connection: Connection, process: int) -> None:
        if process != os.getpid():
            _abandon(connection)
            return
        with self._pool:
            self._busy -= 1
            sound = not connection.in_transaction and not self._closed
            if sound and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        self._require_usable()
        if self._writer == threading.get_ident():
            raise ValueError("this thread has a transaction that writes already")
        if not self._turn.acquire(timeout=BUSY_TIMEOUT):
            raise InUseError(f"database {self.path} is being written by another thread")
        self._writer = threading.get_ident()
        try:
            yield
        finally:
            self._writer = 0
            self._turn.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            raise translate(error, self.path) from error

    def _require_usable(self) -> None:
        if self._closed:
            raise ValueError(f"database {self.path} is closed")
        if self.path in _refused:
            raise UnsupportedError(
                f"database {self.path} was in use when this process was forked",
                hint="start processes before the store is used, or by spawn",
            )

    def before_fork(self) -> None:
        """Leave nothing open that the child would inherit, and let nothing be opened."""
        self._pool.acquire()
        self._drain()

    def after_fork(self) -> None:
        """Go on, in the parent."""
        self._pool.release()

    def after_fork_in_child(self) -> None:
        """Go on in the child, or refuse to if a transaction came with it."""
        self._pool.release()
        if self._busy:
            _refused.add(self.path)
        else:
            self._turn = threading.Lock()

    def _drain(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _no_text(error: UnicodeEncodeError) -> InvalidError:
    shown = ascii(error.object)
    return InvalidError(f"{shown} cannot be recorded: it is not UTF-8", hint="use another name")


def _abandon(connection: apsw.Connection) -> None:
    """Never let a connection that came through a fork be closed: it shares locks with its twin."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


_forking: list[Database] = []


def _before_fork() -> None:
    if becomes_program():  # whose descriptors are closed then, and locks are not inherited
        return
    _opening.acquire()
    _forking.extend(_databases)
    for database in _forking:
        database.before_fork()


def _after_fork() -> None:
    if becomes_program():
        return
    while _forking:
        _forking.pop().after_fork()
    _opening.release()


def _after_fork_in_child() -> None:
    if becomes_program():
        return
    while _forking:
        _forking.pop().after_fork_in_child()
    _opening.release()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)
