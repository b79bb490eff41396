"""Signing in at a registry: credentials go to that registry, and to the token service beside it."""

from collections.abc import Generator
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.request import parse_http_list, parse_keqv_list

import httpx

from flows.core.errors import PermanentError


@dataclass(frozen=True)
class Credentials:
    """A user name and a password or token, for the registry at `address`."""

    address: str
    username: str
    password: str = field(repr=False)


class TokenAuth(httpx.Auth):
    """Answers a registry's challenge: Basic, or a Bearer token fetched from the realm it names.

    Distribution specification, "Token Authentication": what Azure Container Registry and Docker Hub ask for.
    What another server than `registry` asks for is left unanswered.
    """

    requires_response_body = True

    def __init__(self, credentials: Credentials | None, registry: httpx.URL) -> None:
        self._registry = registry
        self._known = credentials is not None
        self._basic = (
            httpx.BasicAuth(credentials.username, credentials.password) if credentials else httpx.Auth()
        )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Ask without credentials first: the challenge says which kind is wanted."""
        challenge = (yield request).headers.get("www-authenticate", "")
        if not same_origin(request.url, self._registry):
            return
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            yield from self._basic.auth_flow(request)
        elif scheme.lower() == "bearer":
            challenge = parse_keqv_list(parse_http_list(rest))
            realm = httpx.URL(challenge.get("realm", ""))
            if self._known and not is_trusted(realm, self._registry):
                raise PermanentError(
                    f"The registry {self._registry.host} wants its credentials sent to "
                    f"{realm.host or 'nowhere'}, which is not beside it. They were not sent.",
                    "Check [registry] address, and who answers there.",
                )
            query = {key: value for key, value in challenge.items() if key in {"service", "scope"}}
            answer = yield next(self._basic.auth_flow(httpx.Request("GET", realm.copy_merge_params(query))))
            if answer.status_code == httpx.codes.OK:
                body = answer.json()
                request.headers["Authorization"] = f"Bearer {body.get('token') or body['access_token']}"
                yield request


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
