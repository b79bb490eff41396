"""Stands in for GitHub's REST API, as far as an App needs it: its signature is really verified.

Answers are those of https://docs.github.com/rest/apps/apps, their messages as GitHub words them.
"""

import json
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.stand_ins.http_server import JsonHandler, serving

INSTALLATION = 42
LONGEST = 600
"""Seconds that a JWT may be valid (GitHub's limit)."""


@dataclass
class GitHubApi:
    """One App, and where it is installed; a test changes it while it serves.

    `lifetime` is that of its tokens, in seconds. `clock` is how far the server's clock is ahead of this
    machine's. `answers` are given to the next requests: status and message.
    """

    url: str = ""
    client_id: str = "Iv23liStandIn"
    repositories: set[str] = field(default_factory=lambda: {"acme/app"})
    permissions: set[tuple[str, str]] = field(
        default_factory=lambda: {("contents", "read"), ("statuses", "write")}
    )
    lifetime: int = 3600
    clock: int = 0
    answers: list[tuple[int, str]] = field(default_factory=list)
    given: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Each token, and what was asked for it."""
    readers: set[str] = field(default_factory=set)
    """The tokens that may read the repository."""
    statuses: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """The path and the body of each commit status that was taken."""

    def __post_init__(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public_key = key.public_key()
        self.key = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()

    def now(self) -> int:
        """By the server's clock."""
        return int(time.time()) + self.clock

    def refusal(self, token: str) -> tuple[int, str] | None:
        """Why the App's JWT is not believed."""
        try:
            claims = jwt.decode(
                token,
                self.public_key,
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False},  # by this server's clock, below
            )
        except jwt.PyJWTError:
            return 401, "A JSON web token could not be decoded"
        if claims["iss"] != self.client_id:
            return 404, "Integration not found"
        if claims["iat"] > self.now():
            must = "must be an Integer representing the time that the assertion was issued"
            return 401, f"'Issued at' claim ('iat') {must}"
        if claims["exp"] > self.now() + LONGEST:
            return 401, "'Expiration time' claim ('exp') is too far in the future"
        if claims["exp"] < self.now():
            must = "must be a numeric value representing the future time at which the assertion expires"
            return 401, f"'Expiration time' claim ('exp') {must}"
        return None


@contextmanager
def github_api(tls: ssl.SSLContext) -> Iterator[GitHubApi]:
    """The API of an Enterprise server, at https://…/api/v3 on loopback."""
    api = GitHubApi()

    class Handler(JsonHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(api.now() if timestamp is None else timestamp)

        def do_GET(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            path = urlsplit(self.path).path.removeprefix("/api/v3")
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if api.answers:
                status, message = api.answers.pop(0)
                self.answer(status, {"message": message})
            elif "/statuses/" in path:
                self.status(path, token, body)
            elif refused := api.refusal(token):
                self.answer(refused[0], {"message": refused[1]})
            elif path == f"/app/installations/{INSTALLATION}/access_tokens":
                self.give(body)
            elif path.removeprefix("/repos/").removesuffix("/installation") in api.repositories:
                self.answer(200, {"id": INSTALLATION})
            else:
                self.answer(404, {"message": "Not Found"})

        do_POST = do_GET

        def give(self, wanted: dict[str, Any]) -> None:
            if not set(wanted["permissions"].items()) <= api.permissions:
                refused = "The permissions requested are not granted to this installation."
                self.answer(422, {"message": refused})
                return
            token = f"ghs_{os.urandom(18).hex()}"
            api.given.append((token, wanted))
            if "contents" in wanted["permissions"]:
                api.readers.add(token)
            ends = datetime.fromtimestamp(api.now() + api.lifetime, UTC)
            self.answer(201, {"token": token, "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}"})

        def status(self, path: str, token: str, body: dict[str, Any]) -> None:
            allowed = {one for one, wanted in api.given if wanted["permissions"].get("statuses") == "write"}
            if token not in allowed:
                self.answer(403, {"message": "Resource not accessible by integration"})
                return
            api.statuses.append((path, body))
            self.answer(201, {})

    with serving(Handler, tls) as url:
        api.url = f"{url}/api/v3"
        yield api
