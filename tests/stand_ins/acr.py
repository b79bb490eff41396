"""Stands in for Azure Container Registry: its token service, roles, locks and firewall.

The registry behind is a real one that believes the tokens signed here. Tokens of Entra ID are really checked,
so azure-containerregistry, docker and `az acr login` work against it as against Azure. What it answers to
refused requests is as Azure documents it.
"""

import base64
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from deployments.local.cluster.certificates import Subject, certificate_builder
from tests.stand_ins.entra import Entra
from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.server_certificate import certified
from tests.support.private_registry import registry_with

TOKEN_USER = "00000000-0000-0000-0000-000000000000"
ISSUER = "Azure Container Registry"
AUDIENCE = "https://containerregistry.azure.net"

ROLES = {
    "AcrPull": {"pull", "metadata_read"},
    "AcrPush": {"pull", "push", "metadata_read"},
    "AcrDelete": {"delete"},
    "Container Registry Repository Reader": {"pull", "metadata_read"},
    "Container Registry Repository Writer": {"pull", "push", "metadata_read", "metadata_write"},
    "Container Registry Repository Contributor": {
        "pull", "push", "delete", "metadata_read", "metadata_write", "metadata_delete",
    },
}  # fmt: skip

UNAUTHORIZED = (
    "authentication required, visit https://aka.ms/acr/authorization for more information. CorrelationId: 0"
)
FIREWALL = (
    "client with IP '192.0.2.7' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
)
DISALLOWED = (
    "The operation is disallowed on this registry, repository or image. View troubleshooting steps at "
    "https://aka.ms/acr/faq/#why-does-my-pull-or-push-request-fail-with-disallowed-operation"
)
NOT_PASSED_ON = {
    "connection", "transfer-encoding", "content-length", "authorization", "host", "accept-encoding", "date",
    "server",
}  # fmt: skip
CHUNK = 64 << 10


class Refusal(Exception):
    """An answer with an error in it."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.content = {"errors": [{"code": code, "message": message}]}
        self.headers = headers


@dataclass
class Acr:
    """One registry; a test changes it while it serves.

    `roles` are for the whole registry, by application. If `repository_roles` has any, only those count, each
    with a pattern of repositories (ABAC). `throttled` are the Retry-After of the next answers, to an exchange
    and to a request for the registry itself.
    """

    entra: Entra
    address: str = ""
    inside: str = ""
    """URL of the registry behind, for containers of its network."""
    ca: Path = Path()
    roles: dict[str, set[str]] = field(default_factory=dict)
    repository_roles: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    anonymous_pull: bool = False
    firewall: bool = False
    locked: set[tuple[str, str]] = field(default_factory=set)
    throttled: list[int] = field(default_factory=list)
    access_lifetime: int = 4500
    refresh_lifetime: int = 10800
    upload_speed: int | None = None
    """Bytes of a layer that are taken in a second; None: as many as come."""
    exchanges: list[str] = field(default_factory=list)
    """The applications whose tokens were exchanged."""
    scopes: list[str] = field(default_factory=list)
    """Those for which access was asked."""
    tokens: list[str] = field(default_factory=list)
    """Those for access that were given."""
    pushed: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    """Digest and time, by repository and tag."""

    def __post_init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._end_before = 0.0
        name = Subject(ISSUER).x509_name
        self.certificate = certificate_builder(name, name, self._key, timedelta(hours=1)).sign(
            self._key, hashes.SHA256()
        )

    @property
    def realm(self) -> str:
        return f"https://{self.address}/oauth2/token"

    def revoke(self) -> None:
        """Let no token that was given so far be exchanged for access any more."""
        self._end_before = time.time()

    def exchanged(self, form: dict[str, str]) -> dict[str, Any]:
        """A refresh token for a token of Entra ID."""
        self._let_in()
        if form.get("grant_type") != "access_token" or form.get("service") != self.address:
            raise Refusal(400, "UNAUTHORIZED", "unsupported grant type or service")
        try:
            said = jwt.decode(form["access_token"], self.entra.public_key, ["RS256"], audience=AUDIENCE)
        except (KeyError, jwt.PyJWTError) as error:
            raise Refusal(401, "UNAUTHORIZED", UNAUTHORIZED) from error
        who = said["appid"]
        if not (self.roles.get(who) or self.repository_roles.get(who)):
            raise Refusal(401, "UNAUTHORIZED", UNAUTHORIZED)
        self.exchanges.append(who)
        return {"refresh_token": self._signed(who, self.refresh_lifetime, grant_type="refresh_token")}

    def access(self, who: str | None, scopes: list[str]) -> dict[str, Any]:
        """An access token for these scopes, with what of them is allowed. ACR says not how long it lasts."""
        if who is None:
            raise Refusal(401, "UNAUTHORIZED", UNAUTHORIZED)
        access = []
        for scope in " ".join(scopes).split():
            self.scopes.append(scope)
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            given = [one for one in actions.split(",") if one in self._allowed(who, kind, name)]
            if given:
                access.append({"type": kind, "name": name, "actions": given})
        token = self._signed(who, self.access_lifetime, grant_type="access_token", access=access)
        self.tokens.append(token)
        return {"access_token": token}

    def who(self, username: str, password: str) -> str | None:
        """The application whose refresh token is the password; "": an anonymous client; None: refused."""
        if not username and not password:
            return "" if self.anonymous_pull else None
        if username != TOKEN_USER:
            return None
        said = self._proven(password)
        if not said or said["grant_type"] != "refresh_token" or said["made"] < self._end_before:
            return None
        return str(said["sub"])

    def is_alive(self, token: str) -> bool:
        """Whether a token is of this registry, and not over yet."""
        return self._proven(token) is not None

    def require(self, authorization: str, kind: str, name: str, action: str) -> None:
        """Refuse a request whose token does not allow that, as the registry behind does too."""
        said = self._proven(authorization.partition(" ")[2]) or {"access": []}
        if any(one["name"] == name and action in one["actions"] for one in said.get("access", [])):
            return
        scope = f'Bearer realm="{self.realm}",service="{self.address}",scope="{kind}:{name}:{action}"'
        raise Refusal(401, "UNAUTHORIZED", UNAUTHORIZED, **{"WWW-Authenticate": scope})

    def let_through(self, method: str, repository: str, reference: str) -> None:
        """Refuse what firewall, throttling and locks do."""
        self._let_in()
        if method in {"PUT", "DELETE"} and (repository, reference) in self.locked:
            raise Refusal(405, "DENIED", DISALLOWED)

    def tags(self, repository: str) -> list[dict[str, Any]]:
        """As the data plane lists them."""
        return [
            {
                "name": tag,
                "digest": digest,
                "createdTime": _written(pushed),
                "lastUpdateTime": _written(pushed),
                "changeableAttributes": {
                    "deleteEnabled": True,
                    "writeEnabled": (name, tag) not in self.locked,
                    "readEnabled": True,
                    "listEnabled": True,
                },
            }
            for (name, tag), (digest, pushed) in self.pushed.items()
            if name == repository and not tag.startswith("sha256:")
        ]

    def _let_in(self) -> None:
        if self.firewall:
            raise Refusal(403, "DENIED", FIREWALL)
        if self.throttled:
            pause = str(self.throttled.pop(0))
            raise Refusal(429, "TOOMANYREQUESTS", "too many requests", **{"Retry-After": pause})

    def _allowed(self, who: str, kind: str, name: str) -> set[str]:
        if kind == "registry":
            return {"*"} if who else set()
        if not who:
            return {"pull", "metadata_read"}
        if self.repository_roles:
            given = self.repository_roles.get(who, set())
            return set().union(*(ROLES[role] for role, pattern in given if fnmatch(name, pattern)))
        return set().union(*(ROLES[role] for role in self.roles.get(who, set())))

    def _signed(self, who: str, lifetime: int, **claims: Any) -> str:
        now = int(time.time())
        chain = [base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()]
        said = {
            "iss": ISSUER,
            "aud": self.address,
            "sub": who,
            "nbf": now - 30,
            "iat": now - 30,
            "exp": now + lifetime + 1,  # whole seconds: not a moment less
            "made": time.time(),
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode({**said, **claims}, self._key, "RS256", {"x5c": chain})

    def _proven(self, token: str) -> dict[str, Any] | None:
        try:
            return dict(jwt.decode(token, self._key.public_key(), ["RS256"], audience=self.address))
        except jwt.PyJWTError:
            return None


def _written(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.0000000Z", time.gmtime(moment))


@contextmanager
def acr(entra: Entra, network: str | None = None) -> Iterator[Acr]:
    """An empty registry that believes that directory, on loopback, with a certificate of its authority.

    Containers of that network of docker's reach the registry behind at `inside`.
    """
    with TemporaryDirectory() as folder_name:
        name = f"slipway-acr-{uuid.uuid4().hex[:8]}"
        folder, registry = Path(folder_name), Acr(entra, inside=f"http://{name}:5000", ca=entra.ca)
        behind: list[httpx.Client] = []

        class Handler(JsonHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = CHUNK  # headers and body in one packet: two would wait for each other

            def handle_any(self) -> None:
                try:
                    self._answer()
                except Refusal as refusal:
                    self._drain()
                    self._json(refusal.status, refusal.content, refusal.headers)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def _answer(self) -> None:
                self._left = self._body()
                address = urlsplit(self.path)
                match unquote(address.path).removeprefix("/").split("/"):
                    case ["oauth2", "exchange"]:
                        self._json(200, registry.exchanged(self._form()))
                    case ["oauth2", "token"]:
                        self._json(200, self._token(parse_qs(address.query)))
                    case ["acr", "v1", "_catalog"]:
                        registry.require(self._authorization, "registry", "catalog", "*")
                        self._json(200, {"repositories": sorted({name for name, _ in registry.pushed})})
                    case ["acr", "v1", *repository, "_tags"]:
                        self._tags("/".join(repository))
                    case ["acr", "v1", *repository, "_tags", tag]:
                        self._tags("/".join(repository), tag)
                    case ["v2", *repository, ("manifests" | "blobs" | "tags"), reference]:
                        self._pass_on("/".join(repository), reference)
                    case ["v2", *repository, "blobs", "uploads", _]:
                        self._pass_on("/".join(repository), "")
                    case _:
                        self._pass_on("", "")

            @property
            def _authorization(self) -> str:
                return str(self.headers.get("Authorization") or "")

            def _form(self) -> dict[str, str]:
                return {key: values[0] for key, values in self._fields().items()}

            def _fields(self) -> dict[str, list[str]]:
                return parse_qs(b"".join(self._left).decode())

            def _token(self, query: dict[str, list[str]]) -> dict[str, Any]:
                fields = self._fields() if self.command == "POST" else query
                username, password = "", ""
                if "refresh_token" in fields:
                    username, password = TOKEN_USER, fields["refresh_token"][0]
                elif self._authorization.startswith("Basic "):
                    pair = base64.b64decode(self._authorization.removeprefix("Basic ")).decode()
                    username, _, password = pair.partition(":")
                registry._let_in()
                return registry.access(registry.who(username, password), fields.get("scope", []))

            def _tags(self, repository: str, tag: str = "") -> None:
                registry.require(self._authorization, "repository", repository, "metadata_read")
                listed = registry.tags(repository)
                found = [one for one in listed if one["name"] == tag]
                common = {"registry": registry.address, "imageName": repository}
                if not tag:
                    self._json(200, {**common, "tags": listed})
                elif not found:
                    raise Refusal(404, "TAG_UNKNOWN", f"the specified tag {tag} does not exist")
                elif self.command == "PATCH":
                    registry.require(self._authorization, "repository", repository, "metadata_write")
                    wanted = json.loads(b"".join(self._left))
                    change = registry.locked.discard if wanted["writeEnabled"] else registry.locked.add
                    change((repository, tag))
                    self._json(200, {**common, "tag": found[0]})
                else:
                    self._json(200, {**common, "tag": found[0]})

            def _pass_on(self, repository: str, reference: str) -> None:
                registry.let_through(self.command, repository, reference)
                # Debian's registry takes a token for a minute after its end
                if self._authorization and not registry.is_alive(self._authorization.partition(" ")[2]):
                    registry.require("", "repository", repository, "pull,push")
                headers = {k: v for k, v in self.headers.items() if k.lower() not in NOT_PASSED_ON}
                headers |= {"Host": registry.address, "X-Forwarded-Proto": "https"}
                if self._authorization:
                    headers["Authorization"] = self._authorization
                sends = self.command in {"POST", "PUT", "PATCH"}
                if sends and (length := self.headers.get("Content-Length")):
                    headers["Content-Length"] = length
                with behind[0].stream(
                    self.command, self.path, headers=headers, content=self._left if sends else None
                ) as answer:
                    if self.command == "PUT" and "/manifests/" in self.path and answer.is_success:
                        digest = answer.headers["docker-content-digest"]
                        registry.pushed[repository, reference] = (digest, time.time())
                    self.send_response(answer.status_code)
                    for key, value in answer.headers.items():
                        if key not in NOT_PASSED_ON:
                            self.send_header(key, value)
                    body = answer.read()
                    size = answer.headers.get("content-length", "0") if self.command == "HEAD" else len(body)
                    self.send_header("Content-Length", str(size))
                    self.end_headers()
                    self.wfile.write(body)

            def _body(self) -> Iterator[bytes]:
                """What the client sends, as it comes, and not faster than is wanted."""
                pieces = self._chunks() if self.headers.get("Transfer-Encoding") else self._counted()
                for piece in pieces:
                    if registry.upload_speed:
                        time.sleep(len(piece) / registry.upload_speed)
                    yield piece

            def _counted(self) -> Iterator[bytes]:
                left = int(self.headers.get("Content-Length") or 0)
                while left and (piece := self.rfile.read(min(left, CHUNK))):
                    left -= len(piece)
                    yield piece

            def _chunks(self) -> Iterator[bytes]:
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

            def _drain(self) -> None:
                for _ in self._left:
                    pass

            def _json(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                for key, value in (headers or {}).items():
                    self.send_header(key, value)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        with serving(Handler, certified(entra.folder, "acr")) as url:
            registry.address = url.removeprefix("https://").replace("127.0.0.1", "localhost")
            with (
                registry_with(*_settings(registry, folder), name=name, network=network) as upstream,
                httpx.Client(base_url=f"http://{upstream}", trust_env=False, timeout=60) as client,
            ):
                behind.append(client)
                yield registry


def _settings(registry: Acr, folder: Path) -> tuple[dict[str, str], Path]:
    """Variables of the registry behind, and the file that proves tokens to it."""
    certificate = folder / "tokens.pem"
    certificate.write_bytes(registry.certificate.public_bytes(serialization.Encoding.PEM))
    token = {
        "realm": registry.realm,
        "service": registry.address,
        "issuer": ISSUER,
        "rootcertbundle": f"/{certificate.name}",
    }
    return {
        "REGISTRY_AUTH": json.dumps({"token": token}),
        "REGISTRY_HTTP_RELATIVEURLS": "true",
        "REGISTRY_STORAGE_DELETE_ENABLED": "true",
    }, certificate
