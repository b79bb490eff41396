"""Whatever a server sends, a client reads so many bytes of it, for so many seconds."""

import time
from collections.abc import Iterator

import httpx
import pytest

from flows.services.process import bounded
from flows.services.process.bounded import Bounds, TooLarge
from tests.stand_ins.endless_server import endless_server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with endless_server() as address:
        yield address


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with bounded.client(follow_redirects=True, auth=("user", "password"), trust_env=False) as found:
        yield found


def test_an_answer_within_its_bounds_comes_whole(client: httpx.Client, server: str) -> None:
    assert bounded.ask(client, "GET", f"{server}/small", Bounds(5, 10)).text == "small"


def test_one_byte_more_is_not_read(client: httpx.Client, server: str) -> None:
    with pytest.raises(TooLarge, match="more than 4 bytes"):
        bounded.ask(client, "GET", f"{server}/small", Bounds(4, 10))


@pytest.mark.parametrize("path", ["body", "redirect", "challenge"])
def test_a_body_without_end_is_cut_off_wherever_it_comes(
    client: httpx.Client, server: str, path: str
) -> None:
    with pytest.raises(TooLarge):
        bounded.ask(client, "GET", f"{server}/{path}", Bounds(1 << 20, 30))


@pytest.mark.parametrize("path", ["slow-body", "slow-headers"])
def test_an_answer_that_comes_a_byte_at_a_time_has_a_deadline(
    client: httpx.Client, server: str, path: str
) -> None:
    with pytest.raises(httpx.ReadTimeout, match=r"no whole answer within 0\.3 s"):
        bounded.ask(client, "GET", f"{server}/{path}", Bounds(1 << 20, 0.3))


def test_a_compressed_answer_is_not_unpacked(client: httpx.Client, server: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="compressed"):
        bounded.ask(client, "GET", f"{server}/packed", Bounds(1 << 20, 30))


def test_chunks_of_any_source_are_limited_alike() -> None:
    soon = time.monotonic() + 60
    assert list(bounded.limited([b"ab", b"c"], 3, soon)) == [b"ab", b"c"]
    with pytest.raises(TooLarge):
        list(bounded.limited([b"ab", b"c"], 2, soon))
    with pytest.raises(TimeoutError):
        list(bounded.limited([b"ab", b"c"], 3, 0))
