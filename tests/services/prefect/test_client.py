"""What is sent again, and what is not: a database that restarts makes the server answer 5xx for a moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from flows.services.prefect.client import RETRY, http_client
from tests.stand_ins.http_server import JsonHandler, serving

Answering = Callable[[int], int]
"""The status of an answer by its number, from 1 on."""


@contextmanager
def server(status: Answering) -> Iterator[tuple[str, list[str]]]:
    """Its address, and the methods of the requests that came."""
    came: list[str] = []

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            came.append(self.command)
            self.answer(status(len(came)), {})

    with serving(Handler) as url:
        yield url, came


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_recovers_is_asked_again(method: str, status: int) -> None:
    with server(lambda number: status if number < 3 else 200) as (url, came):
        with http_client(url, None, trust_env=False) as http:
            assert http.request(method, "/").status_code == 200
        assert came == [method] * 3


def test_one_that_does_not_recover_gives_its_last_answer() -> None:
    with server(lambda _: 503) as (url, came), http_client(url, None, trust_env=False) as http:
        assert http.get("/").status_code == 503
        assert len(came) == RETRY.total + 1


@pytest.mark.parametrize("status", [401, 404, 409, 422, 429])
def test_a_refusal_is_final(status: int) -> None:
    with server(lambda _: status) as (url, came), http_client(url, None, trust_env=False) as http:
        assert http.post("/").status_code == status
        assert len(came) == 1


def test_a_server_that_is_away_is_said_to_be_at_once() -> None:
    with http_client("http://127.0.0.1:1", None, trust_env=False) as http, pytest.raises(httpx.ConnectError):
        http.get("/")


def test_a_proxy_of_the_environment_is_used_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(lambda _: 200) as (proxy, came):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "other.example")
        with http_client("http://prefect.example", None) as http:
            assert http.get("/").status_code == 200
        assert len(came) == 1
