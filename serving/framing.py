"""Where a request ends, as its bytes arrive.

It decides when a request is complete, and nothing else: gunicorn's parser reads the same bytes again, and
decides alone what they mean.
"""

import re
from collections.abc import Callable

MAX_HEAD = 64 * 1024
"""Bytes of request line and headers."""

_MAX_LINE = 8190
"""Bytes of a chunk's size with its extensions, and of a trailer; gunicorn's own limit."""

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(;.*)?\r\n", re.DOTALL)


class Framing:
    """One request. `announced` are the bytes of its body that Content-Length names, 0 without one."""

    def __init__(self) -> None:
        self.announced = 0
        self.has_head = False
        self.is_complete = False
        self.expects_continue = False
        self._buffer = bytearray()
        self._rest = 0
        self._take: Callable[[bytes, int], int] = self._take_head

    def feed(self, piece: bytes) -> None:
        """Takes what arrived. Bytes after the request's end are of the next one, and change nothing.

        A head that is longer than MAX_HEAD counts as complete, and so do malformed chunks: the parser refuses
        them.
        """
        at = 0
        while at < len(piece) and not self.is_complete:
            at = self._take(piece, at)

    def _take_head(self, piece: bytes, at: int) -> int:
        known = len(self._buffer)
        self._buffer += piece[at:]
        end = self._buffer.find(_END, max(0, known - 3))
        if end < 0:
            self.is_complete = len(self._buffer) > MAX_HEAD
            return len(piece)
        head = bytes(self._buffer[: end + len(_END)])
        self._buffer.clear()
        self._begin_body(head)
        return at + len(head) - known

    def _begin_body(self, head: bytes) -> None:
        self.has_head = True
        self.expects_continue = _EXPECTS.search(head) is not None
        if _CHUNKED.search(head):
            self._take = self._take_size
            return
        length = _LENGTH.search(head)
        self.announced = self._rest = int(length[1]) if length else 0
        self.is_complete = not self._rest
        self._take = self._take_body

    def _take_body(self, piece: bytes, at: int) -> int:
        at = self._passed(piece, at)
        self.is_complete = not self._rest
        return at

    def _take_chunk(self, piece: bytes, at: int) -> int:
        at = self._passed(piece, at)
        if not self._rest:
            self._take = self._take_size
        return at

    def _passed(self, piece: bytes, at: int) -> int:
        taken = min(self._rest, len(piece) - at)
        self._rest -= taken
        return at + taken

    def _take_size(self, piece: bytes, at: int) -> int:
        line, at = self._line(piece, at)
        if line:
            size = _SIZE.fullmatch(line)
            if size is None:
                self.is_complete = True
            elif int(size[1], 16):
                self._rest, self._take = int(size[1], 16) + len(b"\r\n"), self._take_chunk
            else:
                self._take = self._take_trailer
        return at

    def _take_trailer(self, piece: bytes, at: int) -> int:
        line, at = self._line(piece, at)
        if line == b"\r\n":
            self.is_complete = True
        return at

    def _line(self, piece: bytes, at: int) -> tuple[bytes, int]:
        """The line that ends in this piece, b"" where none does, and where it ends."""
        end = piece.find(b"\n", at) + 1
        if not end or len(self._buffer) + end - at > _MAX_LINE:
            self._buffer += piece[at:]
            self.is_complete = len(self._buffer) > _MAX_LINE
            return b"", len(piece)
        line = bytes(self._buffer + piece[at:end])
        self._buffer.clear()
        return line, end
