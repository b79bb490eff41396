"""A connection to the public endpoint, which a user's client would keep for its next request.

A load balancer that chooses by connection leads all requests over it to one replica. It sends no cookies, so
that session affinity by cookie does not lead the next connection to the same replica.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from flows.core.errors import EdgeNotInOrder, ProofFailed, ResolverUnavailable
from flows.services.process import bounded
from flows.services.process.bounded import Bounds, TooLarge
from flows.services.verification import tls
from flows.services.verification.public_endpoint import CONNECT, PublicEndpoint

PATIENCE = 10.0
"""Seconds until the next part of an answer comes."""

ONE = httpx.Limits(max_keepalive_connections=1)

BOUNDS = Bounds(1 << 20, 20)
"""What is read of an answer: labels, percents and an identity take a few kilobytes."""

_CLOSED = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)


class ConnectionClosed(Exception):
    """No answer came over a connection that was kept: a server may close it at any time, between requests."""


@dataclass(frozen=True)
class Reply:
    """An answer, the milliseconds from the request over an open connection to the whole of it, and whether
    the connection was kept from the request before."""

    answer: httpx.Response
    milliseconds: float
    was_kept: bool


@dataclass
class _Course:
    """What httpcore reports of a request under way."""

    connected: bool = False
    asked_at: float = 0

    def __call__(self, event: str, _details: object) -> None:
        if event == "connection.connect_tcp.started":
            self.connected = True
        elif event == "http11.send_request_headers.started":
            self.asked_at = time.perf_counter()


class Connection:
    """One connection to `edge` at a time: a request opens it, the next ones use it, until `close`.

    It is closed, too, where a request fails. Where the server has closed it, the next request opens one.
    """

    def __init__(self, edge: PublicEndpoint, patience: float = PATIENCE) -> None:
        self._edge = edge
        self._patience = patience
        self._client: httpx.Client | None = None
        self._address = ""

    def close(self) -> None:
        """Close it; the next request opens another one."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def ask(self, method: str, path: str, json: Any = None) -> Reply:
        """The reply of the server at the other end, at any of the addresses that accepts a connection.

        `ProofFailed` where none accepts one, or the request broke off; `ConnectionClosed` where it did so
        over a connection that was kept.
        """
        try:
            if self._client is not None:
                return self._ask_again(method, path, json)
            return self._ask_anywhere(method, path, json)
        except TooLarge as error:
            self.close()
            much = f"{self._edge.url}{path} answered with more than {BOUNDS.size} bytes."
            raise ProofFailed(much) from error
        except httpx.TransportError as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise ProofFailed(f"{self._edge.url}{path} broke off: {reason}.", fault="image") from error

    def _ask_again(self, method: str, path: str, json: Any) -> Reply:
        try:
            return self._ask_at(self._address, method, path, json)
        except _CLOSED as error:
            self.close()
            raise ConnectionClosed(str(error)) from error

    def _ask_anywhere(self, method: str, path: str, json: Any) -> Reply:
        try:
            addresses = self._edge.resolve()
        except (EdgeNotInOrder, ResolverUnavailable) as error:
            raise ProofFailed(error.happened, fault="infrastructure") from error
        refused = ""
        for address in random.sample(addresses, len(addresses)):
            try:
                return self._ask_at(address, method, path, json)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                self.close()
                refused = str(error) or f"no connection within {CONNECT:g} s"
        raise ProofFailed(f"{self._edge.url} can't be reached: {refused}.", fault="infrastructure")

    def _ask_at(self, address: str, method: str, path: str, json: Any) -> Reply:
        if self._client is None:
            self._client, self._address = _client(self._patience), address
        url = httpx.URL(self._edge.url)
        course = _Course()
        answer = bounded.ask(
            self._client,
            method,
            url.copy_with(host=address, path=path),
            BOUNDS,
            json=json,
            headers={"Host": url.netloc.decode()},
            extensions={"sni_hostname": self._edge.host, "trace": course},
        )
        took = (time.perf_counter() - course.asked_at) * 1000
        return Reply(answer, took, was_kept=not course.connected)


@contextmanager
def connection(edge: PublicEndpoint, patience: float = PATIENCE) -> Iterator[Connection]:
    """One that is closed at the end; it waits `patience` seconds for the next part of an answer."""
    one = Connection(edge, patience)
    try:
        yield one
    finally:
        one.close()


def _client(patience: float) -> httpx.Client:
    timeout = httpx.Timeout(patience, connect=CONNECT)
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return bounded.client(
        verify=tls.trusting(), trust_env=False, timeout=timeout, limits=ONE, cookies=no_cookies
    )
