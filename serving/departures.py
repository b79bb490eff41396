"""Connections whose answer was sent, and whose client has not hung up yet."""

import socket
import time
from collections.abc import Callable
from functools import partial
from selectors import EVENT_READ, BaseSelector

from gunicorn.workers.gthread import TConn

_SECONDS = 5
"""How long a client may take to hang up."""
_PIECE = 256 * 1024


class Departures:
    """Waits until clients have read their answer and hung up, and calls `close` then.

    What a client still sends would reset a connection that is closed, and the client would lose its answer.
    """

    def __init__(self, poller: BaseSelector, close: Callable[[TConn], None]) -> None:
        self._poller = poller
        self._close = close
        self._deadlines: dict[TConn, float] = {}

    def add(self, conn: TConn) -> None:
        """Ends our side of the connection, and waits for the client to end its own."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)  # it hung up already
            return
        self._deadlines[conn] = time.monotonic() + _SECONDS
        self._poller.register(conn.sock, EVENT_READ, partial(self._on_piece, conn))

    def end_late(self, now: float) -> None:
        """Closes connections whose client does not hang up."""
        for conn in [conn for conn, deadline in self._deadlines.items() if now > deadline]:
            self._end(conn)

    def _on_piece(self, conn: TConn, connection: socket.socket) -> None:
        try:
            is_over = not connection.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            is_over = True
        if is_over:
            self._end(conn)

    def _end(self, conn: TConn) -> None:
        del self._deadlines[conn]
        self._poller.unregister(conn.sock)
        self._close(conn)
