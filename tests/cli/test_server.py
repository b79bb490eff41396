"""What the command line says of a server that is not Prefect's API."""

from collections.abc import Iterator

import pytest

from flows.cli.connection import Connection
from flows.cli.server import Server
from flows.core.errors import SettingsError
from tests.stand_ins.http_server import QuietHandler, serving

PAGE = b"<!doctype html><title>Prefect</title>"


class UserInterface(QuietHandler):
    """Answers as Prefect's server outside of its API: the UI's page at every path, and nothing to POST."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(405)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(UserInterface) as url, Server(Connection(url, None, url)) as server:
        yield server


def test_an_address_without_api_is_named_where_a_run_is_started(server: Server) -> None:
    with pytest.raises(SettingsError, match=r"is not the address of Prefect's API: .* gives no JSON.*/api"):
        server.start("verify/on-demand", {})


def test_an_address_without_api_is_named_where_runs_are_listed(server: Server) -> None:
    with pytest.raises(SettingsError, match=r"is not the address of Prefect's API: .* \(405\).*/api"):
        server.recent([], 1)
