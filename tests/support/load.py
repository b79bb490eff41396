"""Requests at a steady rate, each over a connection of its own, and what became of them."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

TIMEOUT = 10.0
"""Seconds until a request counts as failed; it also bounds how many are under way at once."""


@dataclass
class Seen:
    """Of a load: how many requests ended how (`200`, `503`, `ConnectionResetError`), and who answered."""

    outcomes: Counter[str] = field(default_factory=Counter)
    pods: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    """Seconds."""

    @property
    def total(self) -> int:
        """Requests that are over."""
        return self.outcomes.total()

    @property
    def failed(self) -> int:
        """Those that were not answered with 200."""
        return self.total - self.outcomes["200"]

    def __str__(self) -> str:
        return f"{self.failed} of {self.total} failed: {dict(self.outcomes)}, slowest {self.slowest:.2f} s"


@contextmanager
def load(url: str, rate: float = 100, body: bytes | None = None) -> Iterator[Seen]:
    """Ask `rate` times a second until the block ends; by POST if there is a body.

    Late answers delay no other request. When the block is left, all that was asked is answered or failed.
    """
    seen, stop = Seen(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_ask(url, rate, body, seen, stop)), daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


async def _ask(url: str, rate: float, body: bytes | None, seen: Seen, stop: threading.Event) -> None:
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as requests:
        for number in count():
            await asyncio.sleep(began + number / rate - asyncio.get_running_loop().time())
            if stop.is_set():
                return
            requests.create_task(_request(url, body, seen))


async def _request(url: str, body: bytes | None, seen: Seen) -> None:
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(TIMEOUT):
            head, _, _ = (await _exchange(url, body)).partition(b"\r\n\r\n")
    except (OSError, TimeoutError) as error:
        seen.outcomes[type(error).__name__] += 1
    else:
        status, *headers = head.decode().split("\r\n")
        seen.outcomes[status.split()[1] if status else "closed without an answer"] += 1
        named = {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}
        seen.pods[named.get("x-served-by", "")] += 1
    seen.slowest = max(seen.slowest, asyncio.get_running_loop().time() - began)


async def _exchange(url: str, body: bytes | None) -> bytes:
    parts = urlsplit(url)
    method = "GET" if body is None else "POST"
    lines = [f"{method} {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        return await reader.read()
    finally:
        writer.close()
