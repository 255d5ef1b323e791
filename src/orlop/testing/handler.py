"""HTTP for `FaultyRegistry`: reads requests, and writes answers as wrong as they are wanted."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import ssl
    import threading

    from orlop.testing.faults import Reply

_PIECE: Final = 64 << 10


class Answerer(Protocol):
    """Who decides what a request is answered."""

    closing: threading.Event
    """Set when everything that waits shall end."""

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """The answer to a request."""
        ...


class Server(ThreadingHTTPServer):
    """One thread for each connection, on a free port of the loopback interface.

    Args:
        answerer: Who decides.
        tls: How to speak https; http by default.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, answerer: Answerer, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answerer = answerer
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._tls = tls

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the handshake is left to its thread."""
        connection, peer = super().get_request()
        self.connections += 1
        if self._tls is not None:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        self._open.add(connection)
        return connection, peer

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that its thread is done with."""
        self._open.discard(request)
        super().shutdown_request(request)

    @property
    def open_connections(self) -> int:
        """How many connections clients have not closed."""
        return len(self._open)

    def hang_up(self) -> None:
        """End every connection, so that no thread waits for a client any more."""
        for connection in list(self._open):
            try:
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients that hang up, which the faults make them do."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body go out together, and at once.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.answerer.answer(self.command, self.path, headers, body)
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            while reply.raw_endless and not self.server.answerer.closing.is_set():
                self.wfile.write(reply.raw_endless * 100)
            self.close_connection = True
            return
        self._send_head(reply)
        if self.command != "HEAD":
            self._send_body(reply)

    def _send_head(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(reply.length))
        self.end_headers()

    def _send_body(self, reply: Reply) -> None:
        ends = [size for size in (reply.cut_at, reply.stall_at) if size is not None]
        body = reply.body[: min(ends, default=len(reply.body))]
        for begin in range(0, len(body), _PIECE):
            self._send(reply, body[begin : begin + _PIECE])
        while reply.endless and not self.server.answerer.closing.is_set():
            self._send(reply, bytes(_PIECE))
        if reply.stall_at is not None:
            self.wfile.flush()
            self.server.answerer.closing.wait()
        if ends or reply.endless or reply.length not in {None, len(body)}:
            self.close_connection = True
        elif reply.length is None:
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, reply: Reply, piece: bytes) -> None:
        if reply.length is None:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        self.wfile.write(piece)
