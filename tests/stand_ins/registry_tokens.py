"""A token service as Azure Container Registry has one: user name and password for a short-lived token.

The registry that believes its tokens is a real one; only the service that signs them is stood in.
"""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deployments.local.cluster.certificates import Subject, certificate_builder
from tests.stand_ins.http_server import JsonHandler, serving

SERVICE = "registry"
ISSUER = "a token service"


@dataclass(frozen=True)
class TokenService:
    """Where tokens are had, and the certificate (PEM) that proves them."""

    realm: str
    certificate: bytes
    scopes: list[str]


def _access(scope: str) -> list[dict[str, object]]:
    """The distribution specification's "Token Scope": repository:name:pull,push."""
    if not scope:
        return []
    kind, rest = scope.split(":", 1)
    name, actions = rest.rsplit(":", 1)
    return [{"type": kind, "name": name, "actions": actions.split(",")}]


@contextmanager
def token_service(username: str, password: str) -> Iterator[TokenService]:
    """A service on loopback that gives tokens to that user alone."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = Subject(ISSUER).x509_name
    certificate = certificate_builder(name, name, key, timedelta(hours=1)).sign(key, hashes.SHA256())
    chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
    expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    scopes: list[str] = []

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != expected:
                self.answer(401, {})
                return
            scope = parse_qs(urlsplit(self.path).query).get("scope", [""])[0]
            scopes.append(scope)
            now = int(time.time())
            times = {"iat": now, "nbf": now - 60, "exp": now + 300}
            claims = {"iss": ISSUER, "aud": SERVICE, "sub": username, "access": _access(scope), **times}
            self.answer(200, {"access_token": jwt.encode(claims, key, "RS256", {"x5c": chain})})

    pem = certificate.public_bytes(serialization.Encoding.PEM)
    with serving(Handler) as address:
        yield TokenService(f"{address}/oauth2/token", pem, scopes)
