"""What the receiver knows: as fresh as may be, and never less than before."""

import contextvars
import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from prefect.blocks.system import Secret
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from flows.triggers import webhook_config
from tests.triggers.conftest import SECRET, Sender, Team


@pytest.fixture
def stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is known is read again for each delivery."""
    monkeypatch.setattr(webhook_config, "FRESH_FOR", -1)


@pytest.fixture
def silent_server() -> Iterator[socket.socket]:
    """A server that takes connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


@pytest.mark.usefixtures("stale")
def test_a_secret_that_is_changed_counts_without_a_restart(team: Team, sender: Sender) -> None:
    sha = team.commit()
    assert sender.github(sha, event="ping").status_code == 200
    Secret(value="another").save(f"{team.model}-github", overwrite=True)
    assert sender.github(sha, event="ping", secret=SECRET).status_code == 401
    assert sender.github(sha, event="ping", secret="another").status_code == 200


@pytest.mark.usefixtures("stale")
def test_while_prefect_is_away_deliveries_are_distinguished_from_forgeries(
    team: Team, sender: Sender
) -> None:
    sha = team.commit()
    sender.github(sha, event="ping")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        assert sender.github(sha, secret="forged").status_code == 401
        assert sender.github(sha, event="ping").status_code == 200


@pytest.mark.usefixtures("stale")
def test_while_prefect_hangs_one_delivery_waits_for_it_and_no_other(
    team: Team, sender: Sender, silent_server: socket.socket
) -> None:
    sha = team.commit()
    sender.github(sha, event="ping")
    address = f"http://127.0.0.1:{silent_server.getsockname()[1]}/api"
    hanging = {PREFECT_API_URL: address, PREFECT_API_REQUEST_TIMEOUT: 3, PREFECT_CLIENT_MAX_RETRIES: 0}
    answers: list[Any] = []
    with temporary_settings(hanging):
        context = contextvars.copy_context()
    first = Thread(target=context.run, args=(lambda: answers.append(sender.github(sha, event="ping")),))
    first.start()
    connection, _ = silent_server.accept()  # so it waits for the server
    assert sender.github(sha, secret="forged").status_code == 401
    assert answers == []
    first.join()
    connection.close()
    assert answers[0].status_code == 200
