"""Reading what may come without end, or a byte at a time: so many bytes, in so many seconds, and no more."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from flows.services.process import cancellation

_LIMIT, _DEADLINE = "slipway.limit", "slipway.deadline"


class TooLarge(Exception):
    """More bytes came than are read."""


@dataclass(frozen=True)
class Bounds:
    """How many bytes of an answer's body are read, and how many seconds all of it may take."""

    size: int
    seconds: float


def limited(chunks: Iterable[bytes], size: int, deadline: float) -> Iterator[bytes]:
    """The chunks; `TooLarge` beyond `size` bytes, `TimeoutError` after the (monotonic) `deadline`.

    The wait for a single chunk is not interrupted: its source has a time-out of its own.
    """
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received > size:
            raise TooLarge(f"more than {size} bytes came")
        if time.monotonic() > deadline:
            raise TimeoutError("not all of it came in time")
        yield chunk


def client(**options: Any) -> httpx.Client:
    """A client for `ask`; `options` are those of httpx."""
    return httpx.Client(event_hooks={"response": [_bound]}, **options)


def ask(
    client: httpx.Client,
    method: str,
    url: str | httpx.URL,
    bounds: Bounds,
    *,
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, Any] | None = None,
    **content: Any,
) -> httpx.Response:
    """The answer with all of its content, also of redirects and challenges on the way.

    `TooLarge` where one of them has more bytes; `httpx.ReadTimeout` where all did not come in time. Answers
    come uncompressed: a few kilobytes of a compressed one unpack to gigabytes.
    """
    deadline = time.monotonic() + bounds.seconds
    request = partial(
        client.request,
        method,
        url,
        headers={**(headers or {}), "Accept-Encoding": "identity"},
        extensions={**(extensions or {}), _LIMIT: bounds.size, _DEADLINE: deadline},
        **content,
    )
    try:
        return cancellation.current().call(request, bounds.seconds)
    except TimeoutError as late:
        raise httpx.ReadTimeout(f"no whole answer within {bounds.seconds:g} s") from late


def _bound(answer: httpx.Response) -> None:
    """Called for each answer before anything of its body is read."""
    if answer.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise httpx.RemoteProtocolError("the answer is compressed, which was not asked for")
    extensions = answer.request.extensions  # without ours, nothing of it is read
    assert isinstance(answer.stream, httpx.SyncByteStream), "the client is none of asyncio's"
    answer.stream = _Bounded(answer.stream, extensions.get(_LIMIT, 0), extensions.get(_DEADLINE, 0.0))


@dataclass(frozen=True)
class _Bounded(httpx.SyncByteStream):
    stream: httpx.SyncByteStream
    size: int
    deadline: float

    def __iter__(self) -> Iterator[bytes]:
        return limited(self.stream, self.size, self.deadline)

    def close(self) -> None:
        self.stream.close()
