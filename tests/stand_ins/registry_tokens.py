"""A token service as Azure Container Registry has one: user name and password for a short-lived token.

The registry that believes its tokens is a real one; only the service that signs them is stood in.
"""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.stand_ins.json_server import JsonHandler, serving

SERVICE = "registry"
ISSUER = "a token service"


@dataclass(frozen=True)
class TokenService:
    """Where tokens are had, and the certificate (PEM) that proves them."""

    realm: str
    certificate: bytes
    scopes: list[str]


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )


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
    certificate = _certificate(key)
    chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
    expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    scopes: list[str] = []

    class Handler(JsonHandler, BaseHTTPRequestHandler):
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
