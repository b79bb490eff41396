"""Which Prefect server the command line uses, and with which credentials."""

import os
from dataclasses import dataclass

from flows.config import load as configuration
from flows.config import network
from flows.core.errors import SettingsError

URL, AUTH = "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"


@dataclass(frozen=True)
class Connection:
    """A server: its API's address, `user:password` where it wants that, and where people see it."""

    url: str
    auth: str | None
    ui_url: str

    def export(self) -> None:
        """Let Prefect's own client in this process, and programs started by it, use this server."""
        os.environ[URL] = self.url
        if self.auth is not None:
            os.environ[AUTH] = self.auth


def connection() -> Connection:
    """The server of PREFECT_API_URL, else the one of the embedded platform.

    `SettingsError` where there is neither.
    """
    if url := os.environ.get(URL, "").rstrip("/"):
        network.apply_if_readable()
        return _connection(url, os.environ.get(AUTH) or None)
    file = configuration.sign_in_file()
    try:
        auth = file.read_text().strip()
    except FileNotFoundError as error:
        raise SettingsError(
            "There is no Prefect server to talk to.",
            f"Run `slipway up`, or set {URL} and {AUTH} to a server elsewhere.",
        ) from error
    port = configuration.load().embedded.prefect_port
    return _connection(f"http://127.0.0.1:{port}/api", auth)


def _connection(url: str, auth: str | None) -> Connection:
    ui_url = os.environ.get("PREFECT_UI_URL") or url.removesuffix("/api")
    return Connection(url, auth, ui_url.rstrip("/"))
