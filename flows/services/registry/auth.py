"""Signing in at a registry: credentials go to that registry, and to the token service beside it.

They are asked for at each use and held by no client: tokens live for hours, and a run may wait longer.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.request import parse_http_list, parse_keqv_list

import httpx
import jwt
from pydantic import BaseModel, Field, ValidationError

from flows.core.errors import PermanentError
from flows.services.registry import refusals

SIGNED_IN = "slipway.signed-in"
"""The extension of a request that says what it was signed in with, a `SignedIn`."""

TOKEN_LIMIT = 1 << 20
"""Bytes that are read at most of a token service's answer."""

CHECK_ADDRESS = "Check that [registry] address points to a registry, and that no proxy answers in its place."
"""The remedy where a server answers as no registry does."""


@dataclass(frozen=True)
class Credentials:
    """A user name and a password or token, for the registry at `address`."""

    address: str
    username: str
    password: str = field(repr=False)
    how_to_correct: str = field(default=refusals.BLOCK, repr=False, compare=False)
    """What to do if the registry refuses them."""


@dataclass(frozen=True)
class SignedIn:
    """What a request was signed in with: credentials, or a token that they were changed for.

    `granted` are the actions that the token allows in the repository; None: it does not tell, or there is
    none. `asks_for_token`: it is the request for the token.
    """

    credentials: Credentials | None
    has_token: bool = False
    granted: frozenset[str] | None = None
    asks_for_token: bool = False


Login = Callable[[], Credentials | None]
"""Gives the credentials that are valid now; None: the registry is asked without. Its errors are those of
whom it asks."""


def anonymous() -> None:
    """The login of a client that has no credentials."""


def always(credentials: Credentials) -> Login:
    """The login of a client that holds a user name and a password that do not change."""
    return lambda: credentials


class TokenAuth(httpx.Auth):
    """Answers a registry's challenge: Basic, or a Bearer token fetched from the realm it names.

    Distribution specification, "Token Authentication": what Azure Container Registry and Docker Hub ask for.
    What another server than `registry` asks for is left unanswered.
    """

    def __init__(self, login: Login, registry: httpx.URL) -> None:
        self._login = login
        self._registry = registry

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Ask without credentials first: the challenge says which kind is wanted."""
        challenge = (yield request).headers.get("www-authenticate", "")
        if not same_origin(request.url, self._registry):
            return
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() not in {"basic", "bearer"}:
            return
        known = self._login()
        basic = httpx.BasicAuth(known.username, known.password) if known else httpx.Auth()
        request.extensions[SIGNED_IN] = SignedIn(known)
        if scheme.lower() == "basic":
            yield from basic.auth_flow(request)
        else:
            parameters = parse_keqv_list(parse_http_list(rest))
            realm = httpx.URL(parameters.get("realm", ""))
            if known and not is_trusted(realm, self._registry):
                raise PermanentError(
                    f"The registry {self._registry.host} wants its credentials sent to "
                    f"{realm.host or 'nowhere'}, which is neither its host nor in its domain. "
                    "They were not sent.",
                    CHECK_ADDRESS,
                )
            query = {key: value for key, value in parameters.items() if key in {"service", "scope"}}
            # with the time-outs and bounds of the request that it is for
            extensions = {**request.extensions, SIGNED_IN: SignedIn(known, asks_for_token=True)}
            asked = httpx.Request("GET", realm.copy_merge_params(query), extensions=extensions)
            answer = yield next(basic.auth_flow(asked))
            if answer.status_code == httpx.codes.OK:
                token = _token(answer, self._registry)
                request.headers["Authorization"] = f"Bearer {token}"
                request.extensions[SIGNED_IN] = SignedIn(
                    known, has_token=True, granted=_granted(token, query.get("scope", ""))
                )
                yield request


class _TokenAnswer(BaseModel):
    """Distribution specification, "Token Response Fields"; a header takes printable ASCII alone."""

    token: Annotated[str, Field(pattern=r"^[!-~]*$")] = ""
    access_token: Annotated[str, Field(pattern=r"^[!-~]*$")] = ""


def _token(answer: httpx.Response, registry: httpx.URL) -> str:
    """The token in the answer; `PermanentError` where there is none, or more than `TOKEN_LIMIT` bytes."""
    content = answer.read()  # which is bounded, as that of every request is
    try:
        given = _TokenAnswer.model_validate_json(content if len(content) <= TOKEN_LIMIT else b"")
    except ValidationError:
        given = _TokenAnswer()
    if not (given.token or given.access_token):
        raise PermanentError(
            f"The token service of the registry {registry.host} gave no token.",
            CHECK_ADDRESS,
        )
    return given.token or given.access_token


def _granted(token: str, scope: str) -> frozenset[str] | None:
    """The actions that a token names, which is for one repository; None where it does not tell, or was not
    asked for to read there.

    Distribution specification, "Token Authentication Implementation". The registry proves the token; here, it
    only explains a refusal.
    """
    if "pull" not in scope.rpartition(":")[2].split(","):
        return None
    try:
        access = claims_of(token)["access"]
        actions = {str(action) for entry in access for action in entry["actions"]}
    except (jwt.PyJWTError, KeyError, TypeError):
        return None
    return frozenset({"pull", "push", "delete"} if "*" in actions else actions & {"pull", "push", "delete"})


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, which is not proven; `jwt.PyJWTError` where it is none."""
    return dict(jwt.decode(token, options={"verify_signature": False}))


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether both lead to one server (RFC 6454)."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def is_trusted(realm: httpx.URL, registry: httpx.URL) -> bool:
    """Whether a token service may get the registry's credentials.

    It has the registry's host, is a host beside it in the same domain (as auth.docker.io and
    registry-1.docker.io) or that domain itself (as gitlab.com and registry.gitlab.com). It is reached by
    https, or is on this machine.
    """
    if _is_loopback(realm.host):
        return _is_loopback(registry.host)
    domain = registry.host.partition(".")[2]
    beside = "." in domain and (realm.host == domain or realm.host.partition(".")[2] == domain)
    return realm.scheme == "https" and (realm.host == registry.host or beside)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
