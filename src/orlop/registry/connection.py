"""Connections whose answers must begin in time, and can be cut off; loads urllib3."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from orlop.registry.deadline import deadline

if TYPE_CHECKING:
    import urllib3


_AT_ONCE: Final = struct.pack("ii", 1, 0)


def pool_classes(seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    """Pools by scheme, whose connections wait so long for the end of an answer's headers."""

    class PlainConnection(HTTPConnection):
        answering: socket.socket | None = None

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            self.answering = self.sock
            with deadline(seconds, lambda: hang_up(self)):
                return super().getresponse()

    class TlsConnection(HTTPSConnection):
        answering: socket.socket | None = None

        def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
            self.answering = self.sock
            with deadline(seconds, lambda: hang_up(self)):
                return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = TlsConnection

    return {"http": PlainPool, "https": TlsPool}


def hang_up(connection: object) -> None:
    """Make the thread that reads from a connection see its end.

    Both directions are shut down: a peer that goes on sending into one of them is not stopped.
    """
    answering = getattr(connection, "answering", None)
    if isinstance(answering, socket.socket):
        try:
            # Closing resets the connection, or a peer that is sending might wait for minutes.
            answering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            # Not the method of a TLS socket, which would go on reading as if it were none.
            socket.socket.shutdown(answering, socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already
