"""A request on its way in: held until it is complete, so that no thread waits for its sender."""

import tempfile
from dataclasses import dataclass

from serving.framing import MAX_HEAD, Framing

IN_MEMORY = 32 * 1024
"""Bytes of a request that are held in memory; a larger one is held in a file."""


@dataclass(frozen=True)
class Rules:
    """What a sender may do.

    The head must arrive within `seconds`. Every `seconds`, the body must grow by `progress` bytes, or be
    complete. A request whose body has more than `body` bytes is handed over at once, incomplete, to be
    refused. Requests under way may hold `held` bytes in files together. A complete request waits for a thread
    for `wait` seconds at most.
    """

    body: int
    held: int
    seconds: float = 10
    progress: int = 250_000
    wait: float = 20


class Reception:
    """What has arrived of one request; `recv` gives it to gunicorn's parser when it is handed over."""

    def __init__(self, rules: Rules, now: float) -> None:
        self.size = 0
        self.began = now
        self._rules = rules
        self._framing = Framing()
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 -- closed by `close`
        self._deadline = now + rules.seconds
        self._goal = 0
        self._is_continued = False

    def take(self, piece: bytes, now: float) -> None:
        """Adds what arrived. Raises OSError where the file system has no room."""
        had_head = self._framing.has_head
        self._file.write(piece)
        self.size += len(piece)
        self._framing.feed(piece)
        if self._framing.has_head and (not had_head or self.size >= self._goal):
            self._deadline, self._goal = now + self._rules.seconds, self.size + self._rules.progress

    @property
    def is_complete(self) -> bool:
        """Whether all of the request is here."""
        return self._framing.is_complete and not self.is_too_large

    @property
    def is_too_large(self) -> bool:
        """Whether its body is larger than the rules allow; chunks may have a tenth more around them."""
        room = self._rules.body + self._rules.body // 10 + 4 * MAX_HEAD
        return self._framing.announced > self._rules.body or self.size > room

    @property
    def held(self) -> int:
        """Bytes in a file."""
        return self.size if self.size > IN_MEMORY else 0

    def is_late(self, now: float) -> bool:
        """Whether the sender broke the rules, or it waited too long for a thread."""
        return now > self._deadline

    def asks_to_continue(self) -> bool:
        """Whether to send 100 Continue now: True once, if the sender waits for it."""
        if self._is_continued or not self._framing.expects_continue:
            return False
        self._is_continued = True
        return True

    def hand_over(self, now: float) -> None:
        """Lets the parser read it from the beginning."""
        self._file.seek(0)
        self._deadline = now + self._rules.wait

    def recv(self, size: int) -> bytes:
        """The next bytes; b"" where no more have arrived, as a socket whose peer has closed it."""
        return self._file.read(size)

    def rest(self) -> bytes:
        """What the parser did not read: the beginning of the next request."""
        return self._file.read()

    def close(self) -> None:
        """Forgets what has arrived."""
        self._file.close()
