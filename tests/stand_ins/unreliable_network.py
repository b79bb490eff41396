"""A line to a server that breaks or stalls: a TCP proxy on loopback which carries only so many bytes."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

CHUNK = 64 << 10
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: closing sends RST


class UnreliableLine:
    """Forwards to a port or socket until so many bytes have passed in one direction; then everybody is reset.

    Where it `stalls`, connections stay open instead, and no byte comes any more.
    """

    def __init__(
        self, target: int | Path, *, down: int | None = None, up: int | None = None, stalls: bool = False
    ) -> None:
        self._target = target
        self._stalls = stalls
        self._closed = threading.Event()
        self._budget: dict[str, int | None] = {"down": down, "up": up}
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.carried = 0
        """Bytes that have come from the server."""
        self.spent = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self._open) // 2

    def fall_silent(self) -> None:
        """Carry nothing more; for a line that stalls."""
        self.spent.set()

    def break_off(self) -> None:
        """Reset every connection, and each that comes until the line is mended."""
        self.spent.set()
        self._closed.set()
        for end in self._open:
            _reset(end)

    def mend(self) -> None:
        """Let new connections through again, and as many bytes as come."""
        self._budget = {"down": None, "up": None}
        self.spent.clear()

    def close(self) -> None:
        self.break_off()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                if self.spent.is_set() and not self._stalls:
                    _reset(client)
                    continue
                server = self._connect()
                self._open += [client, server]
                for source, sink, direction in ((server, client, "down"), (client, server, "up")):
                    threading.Thread(
                        target=self._forward, args=(source, sink, direction), daemon=True
                    ).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target))
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._target))
        return server

    def _forward(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):  # either end was closed
            while chunk := source.recv(CHUNK):
                if self._stalls and self.spent.is_set():
                    self._closed.wait()
                sink.sendall(chunk)
                if self._is_spent(direction, len(chunk)):
                    self._give_up()
            sink.shutdown(socket.SHUT_WR)

    def _is_spent(self, direction: str, count: int) -> bool:
        with self._lock:
            if direction == "down":
                self.carried += count
            left = self._budget[direction]
            if left is None:
                return False
            self._budget[direction] = left - count
            return left <= count

    def _give_up(self) -> None:
        if self._stalls:
            self.spent.set()
        else:
            self.break_off()


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextlib.contextmanager
def breaking_line(
    target: int | Path, *, down: int | None = None, up: int | None = None
) -> Iterator[UnreliableLine]:
    """A line to 127.0.0.1:`target` that breaks after so many bytes from the server (down) or to it (up)."""
    with contextlib.closing(UnreliableLine(target, down=down, up=up)) as line:
        yield line


@contextlib.contextmanager
def stalling_line(
    target: int | Path, *, down: int | None = None, up: int | None = None
) -> Iterator[UnreliableLine]:
    """The same, but it falls silent instead: a client that waits for an answer waits on."""
    with contextlib.closing(UnreliableLine(target, down=down, up=up, stalls=True)) as line:
        yield line
