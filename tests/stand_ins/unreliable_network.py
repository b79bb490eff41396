"""A line to a server that breaks: a TCP proxy on loopback which resets everything after so many bytes."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

CHUNK = 64 << 10
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: closing sends RST


class BreakingLine:
    """Forwards to `port` until so many bytes have passed in one direction; then nobody gets through."""

    def __init__(self, port: int, *, down: int | None = None, up: int | None = None) -> None:
        self._target = ("127.0.0.1", port)
        self._budget = {"down": down, "up": up}
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self.broken = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def break_off(self) -> None:
        """Reset every connection, and all that come, until the line is mended."""
        self.broken.set()
        for end in self._open:
            _reset(end)

    def mend(self) -> None:
        """Let new connections through again."""
        self.broken.clear()

    def close(self) -> None:
        self.break_off()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                if self.broken.is_set():
                    _reset(client)
                    continue
                server = socket.create_connection(self._target)
                self._open += [client, server]
                for source, sink, direction in ((server, client, "down"), (client, server, "up")):
                    threading.Thread(
                        target=self._forward, args=(source, sink, direction), daemon=True
                    ).start()

    def _forward(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):  # either end was closed
            while chunk := source.recv(CHUNK):
                sink.sendall(chunk)
                if self._spent(direction, len(chunk)):
                    self.break_off()
            sink.shutdown(socket.SHUT_WR)

    def _spent(self, direction: str, count: int) -> bool:
        with self._lock:
            left = self._budget[direction]
            if left is None:
                return False
            self._budget[direction] = left - count
            return left <= count


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may be closed already
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextlib.contextmanager
def breaking_line(port: int, *, down: int | None = None, up: int | None = None) -> Iterator[BreakingLine]:
    """A line to 127.0.0.1:`port` that breaks after so many bytes from the server (down) or to it (up)."""
    line = BreakingLine(port, down=down, up=up)
    try:
        yield line
    finally:
        line.close()
