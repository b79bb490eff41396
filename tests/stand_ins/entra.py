"""Stands in for Entra ID, and for the endpoints from which a machine in Azure gets its identity's tokens.

Tokens are really signed, and what signs in is really checked: secrets, certificates, federated tokens. So
azure-identity, az and a Kubernetes API server with an OIDC issuer work against it as against Azure.
"""

import json
import ssl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deployments.local.cluster.certificates import Subject, certificate_builder, ensure_authority
from flows.services.azure.cloud import Cloud
from flows.services.azure.identity import AzureIdentity
from tests.stand_ins.http_server import QuietHandler, serving
from tests.stand_ins.server_certificate import certified

TENANT = "11111111-1111-1111-1111-111111111111"
KEY_ID = "stand-in"
EXCHANGE = "api://AzureADTokenExchange"
"""The audience of a federated token."""

SYSTEM_ASSIGNED = ""
"""In place of a client id: the machine's own identity."""

Answer = tuple[int, dict[str, Any], dict[str, str]]
"""Status, JSON and headers."""


class Asked(NamedTuple):
    """One request: `fields` are those of its query or form."""

    method: str
    path: str
    fields: dict[str, str]


@dataclass
class Entra:
    """One directory, and one machine; a test changes them while they serve.

    `fail` are the answers to the next requests for a token. `expired` are applications whose secret is.
    `machine` are the client ids of the identities that the machine has.
    """

    folder: Path
    tenant: str = TENANT
    lifetime: int = 3600
    secrets: dict[str, str] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    federated: set[tuple[str, str, str]] = field(default_factory=set)
    machine: set[str] = field(default_factory=lambda: {SYSTEM_ASSIGNED})
    asked: list[Asked] = field(default_factory=list)
    fail: list[Answer] = field(default_factory=list)
    url: str = ""
    metadata: str = ""
    """Plain HTTP address of the machine's endpoints: IMDS, and App Service's at `/msi/token`."""

    def __post_init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public_key = self.key.public_key()
        self.federation_key = self.public_key
        """Proves federated tokens; in place of it, a test may set the key of a real cluster."""
        self.certificates: dict[str, x509.Certificate] = {}

    @property
    def ca(self) -> Path:
        """A bundle of the system's authorities and the one that issued this server's certificate."""
        return self.folder / "bundle.crt"

    @property
    def variables(self) -> dict[str, str]:
        """With these in the environment, clients trust this server."""
        return {"REQUESTS_CA_BUNDLE": str(self.ca), "SSL_CERT_FILE": str(self.ca)}

    @property
    def cloud(self) -> Cloud:
        """A cloud whose Entra ID is here. Its Resource Manager is nowhere."""
        manager = "https://localhost:9"
        return Cloud(self.url, manager, f"{manager}/.default", "blob.localhost")

    def identity(self, client_id: str) -> AzureIdentity:
        """The service principal of that application, with the secret that it has here."""
        secret = self.secrets.setdefault(client_id, f"secret of {client_id}")
        return AzureIdentity(
            "service-principal", self.cloud, self.tenant, client_id, lambda: secret, own_authority=True
        )

    def object_id(self, client_id: str) -> str:
        """The id of the principal in the directory, to which Azure's roles are given: claim `oid`."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, client_id or self.tenant))

    def token(self, audience: str, client_id: str, **claims: Any) -> str:
        """An access token as Entra ID signs them."""
        now = int(time.time())
        said = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self.tenant}/",
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + self.lifetime,
            "tid": self.tenant,
            "oid": self.object_id(client_id),
            "sub": self.object_id(client_id),
            "appid": client_id,
            "ver": "1.0",
            "jti": uuid.uuid4().hex,
        }
        return self._signed({**said, **claims})

    def federated_token(self, issuer: str, subject: str, **claims: Any) -> str:
        """What a cluster or a CI system gives its workloads to sign in with."""
        now = int(time.time())
        said = {"iss": issuer, "sub": subject, "aud": [EXCHANGE], "iat": now, "nbf": now, "exp": now + 600}
        return self._signed({**said, **claims})

    def certificate(self, client_id: str) -> str:
        """A certificate that the application signs in with from now on, and its key, as PEM."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = Subject(client_id).x509_name
        made = certificate_builder(name, name, key, timedelta(hours=1)).sign(key, hashes.SHA256())
        self.certificates[client_id] = made
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return (private + made.public_bytes(Encoding.PEM)).decode()

    def _signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self.key, "RS256", {"kid": KEY_ID})

    def answer(self, path: str, fields: dict[str, str], headers: dict[str, str]) -> Answer:
        """What is answered to a request."""
        tenant, _, rest = path.removeprefix("/").partition("/")
        if path in {"/metadata/identity/oauth2/token", "/msi/token"}:
            return self._of_the_machine(path, fields, headers)
        if tenant not in {self.tenant, "organizations", "common"}:
            return refusal(400, 90002, f"Tenant '{tenant}' not found. Check the tenant ID.")
        match rest:
            case "oauth2/v2.0/token":
                return self.fail.pop(0) if self.fail else self._of_an_application(fields)
            case "v2.0/.well-known/openid-configuration":
                return 200, self._configuration(f"{self.url}/{self.tenant}/v2.0"), {}
            case ".well-known/openid-configuration":
                return 200, self._configuration(f"https://sts.windows.net/{self.tenant}/"), {}
            case "discovery/v2.0/keys" | "discovery/keys":
                public = jwt.algorithms.RSAAlgorithm.to_jwk(self.public_key, as_dict=True)
                return 200, {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}, {}
        return 404, {"error": "not_found"}, {}

    def _configuration(self, issuer: str) -> dict[str, Any]:
        base = f"{self.url}/{self.tenant}"
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _of_an_application(self, fields: dict[str, str]) -> Answer:
        client = fields.get("client_id", "")
        refused = self._refused(client, fields)
        if refused is not None:
            return refused
        audience = fields["scope"].split()[0].removesuffix("/.default")
        times = {"expires_in": self.lifetime, "ext_expires_in": self.lifetime}
        return 200, {"token_type": "Bearer", "access_token": self.token(audience, client), **times}, {}

    def _refused(self, client: str, fields: dict[str, str]) -> Answer | None:
        applications = {*self.secrets, *self.certificates, *(one[0] for one in self.federated)}
        if client not in applications:
            return refusal(
                400,
                700016,
                f"Application with identifier '{client}' was not found in the directory '{self.tenant}'.",
            )
        if "client_secret" in fields:
            if self.secrets.get(client) != fields["client_secret"]:
                return refusal(
                    401,
                    7000215,
                    "Invalid client secret provided. Ensure the secret being sent in "
                    "the request is the client secret value, not the client secret ID.",
                )
            if client in self.expired:
                return refusal(
                    401, 7000222, f"The provided client secret keys for app '{client}' are expired."
                )
            return None
        assertion = fields.get("client_assertion", "")
        said = jwt.decode(assertion, options={"verify_signature": False})
        if EXCHANGE in said["aud"]:
            return self._federation_refused(client, assertion, said)
        return self._certificate_refused(client, assertion)

    def _federation_refused(self, client: str, assertion: str, said: dict[str, Any]) -> Answer | None:
        mine = {(issuer, subject) for who, issuer, subject in self.federated if who == client}
        if said["iss"] not in {issuer for issuer, _ in mine}:
            return refusal(
                401,
                700211,
                "No matching federated identity record found for presented assertion "
                f"issuer '{said['iss']}'. Check its Subject, Audience and Issuer.",
            )
        if (said["iss"], said["sub"]) not in mine:
            return refusal(
                401,
                700213,
                "No matching federated identity record found for presented assertion "
                f"subject '{said['sub']}'. Check its Subject, Audience and Issuer.",
            )
        try:
            jwt.decode(assertion, self.federation_key, ["RS256"], audience=EXCHANGE)
        except jwt.PyJWTError as error:
            return refusal(401, 700024, f"Client assertion is not within its valid time range. {error}.")
        return None

    def _certificate_refused(self, client: str, assertion: str) -> Answer | None:
        audience = f"{self.url}/{self.tenant}/oauth2/v2.0/token"
        try:
            key = self.certificates[client].public_key()
            jwt.decode(assertion, key, ["RS256", "PS256"], audience=audience)  # type: ignore[arg-type]
        except (KeyError, jwt.PyJWTError):
            return refusal(
                401,
                700027,
                "The certificate with identifier used to sign the client assertion is "
                "not registered on application.",
            )
        return None

    def _of_the_machine(self, path: str, fields: dict[str, str], headers: dict[str, str]) -> Answer:
        if self.fail:
            return self.fail.pop(0)
        if path == "/msi/token" and headers.get("x-identity-header") != "header":
            return 401, {"statusCode": 401, "message": "Unauthorized"}, {}
        if path != "/msi/token" and headers.get("metadata") != "true":
            return _unknown("Required metadata header not specified")
        client = fields.get("client_id", SYSTEM_ASSIGNED)
        if client == SYSTEM_ASSIGNED and client not in self.machine and len(self.machine) > 1:
            return _unknown(
                "Multiple user assigned identities exist, please specify the clientId / resourceId "
                "of the identity in the token request"
            )
        if client not in self.machine and path == "/msi/token":
            return 400, {"statusCode": 400, "message": "No User Assigned Managed Identity found"}, {}
        if client not in self.machine:
            return _unknown("Identity not found")
        times = {"expires_in": str(self.lifetime), "expires_on": str(int(time.time()) + self.lifetime)}
        token = self.token(fields["resource"].removesuffix("/"), client)
        said = {"access_token": token, "resource": fields["resource"], "token_type": "Bearer"}
        return 200, {**said, "client_id": client, **times}, {}


def refusal(status: int, code: int, said: str) -> Answer:
    """As Entra ID refuses: with an AADSTS code, and what it is about."""
    description = (
        f"AADSTS{code}: {said} Trace ID: 22222222-2222-2222-2222-222222222222 Correlation ID: "
        "33333333-3333-3333-3333-333333333333 Timestamp: 2026-01-01 00:00:00Z"
    )
    error = {400: "invalid_request", 401: "invalid_client"}.get(status, "temporarily_unavailable")
    return status, {"error": error, "error_description": description, "error_codes": [code]}, {}


def _unknown(said: str) -> Answer:
    return 400, {"error": "invalid_request", "error_description": said}, {}


@contextmanager
def entra(hosts: tuple[str, ...] = ()) -> Iterator[Entra]:
    """A directory without applications, and a machine with a system-assigned identity, on loopback.

    `hosts` are further names that its certificate is for.
    """
    with TemporaryDirectory() as name:
        directory = Entra(Path(name))
        _write_bundle(directory)

        class Endpoints(QuietHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                self._answer(address.path, address.query)

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self._answer(urlsplit(self.path).path, self.rfile.read(length).decode())

            def _answer(self, path: str, fields: str) -> None:
                asked = Asked(self.command, path, dict(parse_qsl(fields)))
                directory.asked.append(asked)
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, content, further = directory.answer(path, asked.fields, headers)
                body = json.dumps(content).encode()
                self.send_response(status)
                for key, value in {**further, "Content-Type": "application/json"}.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        with (
            serving(Endpoints, certified(directory.folder, "server", hosts)) as secured,
            serving(Endpoints) as plain,
        ):
            directory.url = secured.replace("127.0.0.1", "localhost")
            directory.metadata = plain
            yield directory


def _write_bundle(directory: Entra) -> None:
    system = Path(ssl.get_default_verify_paths().openssl_cafile)
    known = system.read_bytes() if system.is_file() else b""
    directory.ca.write_bytes(known + b"\n" + ensure_authority(directory.folder).certificate)
