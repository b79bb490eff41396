"""By which way a system is reached, and what is said where it is not."""

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from flows.checks.check import CheckFailed
from flows.checks.reaching import ClockOffsets, answers, note_offset, route
from flows.core.errors import SettingsError
from tests.checks.conftest import NOWHERE
from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.own_certificate import own_certificate

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Refusing(JsonHandler):
    status = 401

    def do_GET(self) -> None:
        self.answer(self.status, {})


def test_the_way_names_the_proxy_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:a-secret@proxy.test:3128")
    monkeypatch.setenv("no_proxy", ".inside.test")
    assert route("https://registry.test/v2/") == "through the proxy http://proxy.test:3128"
    assert route("https://store.inside.test") == "directly"
    assert route("http://registry.test") == "directly"


def test_a_system_that_answers_is_reached_whatever_it_answers() -> None:
    offsets: ClockOffsets = {}
    with serving(Refusing) as address:
        assert answers(address, "the registry", offsets) == f"{address} answers 401, directly."
    assert abs(offsets["the registry"]) < timedelta(seconds=60)


def test_a_proxy_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:a-secret@{NOWHERE}")
    with pytest.raises(
        CheckFailed, match=f"could not be reached through the proxy http://{NOWHERE}"
    ) as failed:
        answers("http://registry.test", "the registry", {})
    assert failed.value.remedy.startswith("Check that the proxy runs")
    assert "a-secret" not in failed.value.seen


def test_a_proxy_that_wants_a_password_is_not_taken_for_a_system_that_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Proxy(Refusing):
        status = 407

    with serving(Proxy) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(SettingsError, match="wants a user and a password") as failed:
            answers("http://registry.test", "the registry", {})
    assert "[network] proxy_login" in failed.value.remedy


def test_an_authority_that_is_not_trusted_is_to_be_put_into_the_bundle() -> None:
    with (
        serving(Refusing, own_certificate().server) as address,
        pytest.raises(SettingsError, match="is not trusted") as failed,
    ):
        answers(address, "the registry", {})
    assert "[network] ca_bundle" in failed.value.remedy


def test_nothing_that_listens_is_an_address_that_may_be_wrong() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(CheckFailed, match="could not be reached directly"):
        answers(address, "the registry", {})


@pytest.mark.parametrize(("seconds", "least"), [(0, 0), (-1, 0), (-90, 88), (90, -91)])
def test_the_time_of_an_answer_counts_from_when_it_was_asked_for(seconds: int, least: int) -> None:
    asked, offsets = datetime.now(UTC), dict[str, timedelta]()
    note_offset(format_datetime(asked + timedelta(seconds=seconds), usegmt=True), "it", asked, offsets)
    assert abs(offsets["it"].total_seconds() - least) < 2


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_without_a_time_says_nothing(date: str | None) -> None:
    offsets: ClockOffsets = {}
    note_offset(date, "it", datetime.now(UTC), offsets)
    assert offsets == {}
