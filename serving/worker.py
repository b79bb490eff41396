"""A gunicorn worker whose threads get a request once it is complete: no slow client holds a thread.

gunicorn itself reads requests in its threads, so that as many slow senders as it has threads stop a worker.
Here, the main loop receives requests, as a buffering proxy would, and closes connections.
"""

import resource
import socket
import struct
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any, ClassVar

from gunicorn.config import Config
from gunicorn.errors import ConfigError
from gunicorn.glogging import Logger
from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker

from serving.answers import CONTINUE, refusal
from serving.departures import Departures
from serving.pulse import PULSE
from serving.reception import Reception, Rules

_PIECE = 256 * 1024
_ANSWER_SECONDS = 10
"""Seconds after which an answer is given up while the client takes none of it."""
_LOOK_SECONDS = 0.25
"""Time between two looks for late requests."""

_STOPPING_SECONDS = 2
"""How long a worker that stops waits for the first byte of a request."""
_OTHER_FILES = 200
"""Open files beside those of connections and their requests."""


class BufferingWorker(ThreadWorker):
    """A worker of a gunicorn without TLS; a subclass sets its `rules`."""

    rules: ClassVar[Rules]

    @classmethod
    def check_config(cls, cfg: Config, log: Logger) -> None:
        """Refuses TLS, which belongs to the proxy before it: the main loop reads what arrives as it is."""
        if cfg.is_ssl:
            raise ConfigError("This worker does not serve TLS: put a proxy with the certificate before it.")
        super().check_config(cfg, log)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving: dict[TConn, Reception] = {}
        self._in_hand: dict[TConn, Reception] = {}
        self._held = 0
        self._next_look = 0.0
        self._tick: Future[None] | None = None

    def init_process(self) -> None:
        """Runs the worker, which may have a file for each connection."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 2 * self.worker_connections + _OTHER_FILES
        if 0 < soft < wanted and soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
        super().init_process()

    def run(self) -> None:
        """Receives and serves requests until the worker stops."""
        self._departures = Departures(self.poller, self._close)
        super().run()

    def enqueue_req(self, conn: TConn) -> None:
        """Receives a request on a connection that is new, or was kept alive."""
        reception = self._arriving[conn] = Reception(self.rules, time.monotonic())
        conn.sock.setblocking(False)
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_piece, conn, reception))
        if conn.parser is not None and (begun := _unreader(conn).take_buffered()):
            self._take(conn, reception, begun)
        else:
            self._on_piece(conn, reception, conn.sock)

    def _on_piece(self, conn: TConn, reception: Reception, connection: socket.socket) -> None:
        try:
            piece = connection.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if piece:
            self._take(conn, reception, piece)
        else:
            self._drop(conn, reception)

    def _take(self, conn: TConn, reception: Reception, piece: bytes) -> None:
        before = reception.held
        try:
            reception.take(piece, time.monotonic())
        except OSError as error:
            self.log.warning("A request was refused with 503: the temporary folder can't hold it (%s)", error)
            self._refuse(conn, reception, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        self._held += reception.held - before
        if reception.is_complete or reception.is_too_large:
            self._hand_over(conn, reception)
        elif reception.held and self._held > self.rules.held:
            self._refuse(conn, reception, HTTPStatus.SERVICE_UNAVAILABLE)
        elif reception.asks_to_continue():
            with suppress(OSError):
                conn.sock.send(CONTINUE)

    def _hand_over(self, conn: TConn, reception: Reception) -> None:
        self.poller.unregister(conn.sock)
        self._in_hand[conn] = self._arriving.pop(conn)
        reception.hand_over(time.monotonic())
        source: Any = reception  # of a socket, the parser needs `recv` alone
        if conn.parser is None:
            conn.parser = get_parser(self.cfg, source, conn.client)
        _unreader(conn).sock = source
        conn.data_ready = True
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        """Serves one request, in a thread."""
        PULSE.beat()
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _ANSWER_SECONDS, 0))
        if self._in_hand[conn].is_late(time.monotonic()):
            with suppress(OSError):
                conn.sock.send(refusal(HTTPStatus.SERVICE_UNAVAILABLE))
            return False
        return super().handle(conn)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Serves the request whose head was parsed; after an incomplete one, the connection closes."""
        req._expected_100_continue = False
        if not self._in_hand[conn].is_complete:
            req.force_close()
        return super().handle_request(req, conn)

    def finish_request(self, conn: TConn, fs: "Future[Any]") -> None:
        """Keeps the connection for its next request, or closes it."""
        reception = self._in_hand.pop(conn)
        is_kept = not fs.cancelled() and not fs.exception() and fs.result()
        if is_kept:
            unreader = _unreader(conn)
            unreader.unread(unreader.take_buffered() + reception.rest())
        self._held -= reception.held
        reception.close()
        if is_kept:
            super().finish_request(conn, fs)
        else:
            self._departures.add(conn)

    def murder_pending(self) -> None:
        """Ends what is late. The main loop calls it at least once a second."""
        super().murder_pending()
        if (now := time.monotonic()) < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        for conn, reception in [*self._arriving.items()]:
            if reception.is_late(now):
                self._refuse(conn, reception, HTTPStatus.REQUEST_TIMEOUT)
            elif not self.alive and not reception.size and now > reception.began + _STOPPING_SECONDS:
                self._drop(conn, reception)
        self._departures.end_late(now)
        if self._tick is None or self._tick.done():
            self._tick = self.tpool.submit(PULSE.beat)

    def _refuse(self, conn: TConn, reception: Reception, status: HTTPStatus) -> None:
        if not reception.size:  # a connection that was opened in advance
            self._drop(conn, reception)
            return
        self._forget(conn, reception)
        with suppress(OSError):
            conn.sock.send(refusal(status))
        self._departures.add(conn)

    def _drop(self, conn: TConn, reception: Reception) -> None:
        self._forget(conn, reception)
        self._close(conn)

    def _forget(self, conn: TConn, reception: Reception) -> None:
        del self._arriving[conn]
        self.poller.unregister(conn.sock)
        self._held -= reception.held
        reception.close()

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()


def _unreader(conn: TConn) -> Any:
    """What its parser reads from, with the beginning of the next request."""
    parser: Any = conn.parser
    return parser.unreader
