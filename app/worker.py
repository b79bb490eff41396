"""gunicorn's threads, with bounds for clients that fall silent."""

import os
import socket
import struct
import time
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

SILENCE_SECONDS = int(os.environ.get("CLIENT_SILENCE_SECONDS", "10"))
"""How long a client may send nothing in the middle of a request, or not take its answer."""

_LINGERING_SECONDS = 2


class BoundedWorker(ThreadWorker):
    """A worker whose threads a client can't hold for ever, and whose main loop a client can't hold at all."""

    def handle(self, conn: TConn) -> Any:
        """Serves one request, or learns that there is none."""
        for bound in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # gunicorn's sockets block without limit
            conn.sock.setsockopt(socket.SOL_SOCKET, bound, struct.pack("ll", SILENCE_SECONDS, 0))
        goes_on = super().handle(conn)
        if not goes_on:
            _let_go(conn.sock)
        return goes_on


def _let_go(connection: socket.socket) -> None:
    """Waits until the client has read its answer and hung up.

    gunicorn would wait in the main loop, where a few clients that don't hang up keep all others waiting, and
    many make the worker look dead.
    """
    try:
        connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + _LINGERING_SECONDS
        while (patience := deadline - time.monotonic()) > 0:
            connection.settimeout(patience)
            if not connection.recv(65536):
                break
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it hung up already
