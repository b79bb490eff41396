"""Stands in for AWS IAM Identity Center: its portal, which gives a role's keys, and its token service.

Answers are those of https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference and OIDCAPIReference.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from tests.stand_ins.http_server import JsonHandler, serving

PORTAL, OIDC = "/federation/credentials", "/token"
KEY_OF_THE_ROLE = "ASIAOFTHEROLE"


@dataclass
class SsoPortal:
    """One account with one role; a test changes it while it serves.

    `tokens` are those that are signed in; `refresh_tokens` gives the new one for each of its keys.
    """

    url: str = ""
    account: str = "123456789012"
    role: str = "models"
    tokens: set[str] = field(default_factory=set)
    refresh_tokens: dict[str, str] = field(default_factory=dict)

    def asked_for_keys(self, token: str, account: str, role: str) -> tuple[HTTPStatus, dict[str, object]]:
        """GetRoleCredentials."""
        if token not in self.tokens:
            return HTTPStatus.UNAUTHORIZED, {"message": "Session token not found or invalid"}
        if (account, role) != (self.account, self.role):
            return HTTPStatus.FORBIDDEN, {"message": "No access"}
        keys = {"accessKeyId": KEY_OF_THE_ROLE, "secretAccessKey": "secret", "sessionToken": "of the session"}
        return HTTPStatus.OK, {"roleCredentials": {**keys, "expiration": int((time.time() + 3600) * 1000)}}

    def asked_for_a_token(self, refresh_token: str) -> tuple[HTTPStatus, dict[str, object]]:
        """CreateToken, with a refresh token."""
        token = self.refresh_tokens.get(refresh_token)
        if token is None:
            return HTTPStatus.BAD_REQUEST, {"error": "invalid_grant", "error_description": "Invalid grant"}
        self.tokens.add(token)
        return HTTPStatus.OK, {"accessToken": token, "tokenType": "Bearer", "expiresIn": 28800}


@contextmanager
def sso_portal() -> Iterator[SsoPortal]:
    """Both services at one address on loopback, where no session has begun yet."""
    portal = SsoPortal()

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            assert parts.path == PORTAL
            fields = {name: values[0] for name, values in parse_qs(parts.query).items()}
            token = self.headers.get("x-amz-sso_bearer_token", "")
            self.answer(*portal.asked_for_keys(token, fields["account_id"], fields["role_name"]))

        def do_POST(self) -> None:
            assert self.path == OIDC
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(*portal.asked_for_a_token(body["refreshToken"]))

    with serving(Handler) as url:
        portal.url = url
        yield portal
