"""Signing in at Azure Container Registry as an identity of Entra ID.

Its token is exchanged for a refresh token of the registry, which is the password of a user without a name:
https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import jwt
from pydantic import BaseModel, ValidationError

from flows.core.errors import PermanentError, SlipwayError
from flows.services.azure.identity import REGISTRY, AzureIdentity
from flows.services.process import bounded
from flows.services.process.bounded import Bounds, TooLarge
from flows.services.process.tls import authorities
from flows.services.registry import refusals
from flows.services.registry.auth import TOKEN_LIMIT, Credentials, Login, claims_of
from flows.services.registry.cached_login import CachedLogin, ExpiringCredentials
from flows.services.registry.refusals import Place

TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105  # a name, no password

TIMEOUT = httpx.Timeout(20, connect=5)

RENEWED_BEFORE = timedelta(hours=1)
"""Before its end, a refresh token is replaced: the engine signs in with it again and again during one push.
Azure gives tokens of three hours."""

HOW_TO_CORRECT = (
    "Check that [azure] names an identity of the registry's own directory, and give it a role there, such as "
    "AcrPush. A new role may take up to 30 minutes."
)


class _Exchanged(BaseModel):
    refresh_token: str


class _AccessToken(BaseModel):
    access_token: str


def azure_login(address: str, identity: Callable[[], AzureIdentity]) -> CachedLogin:
    """The login of that identity; it is asked for a token whenever one is to be exchanged."""
    return CachedLogin(lambda: _given(address, exchange(address, identity())))


def exchange(address: str, identity: AzureIdentity) -> str:
    """A refresh token of the registry for the identity.

    `CredentialsRefused` where the registry does not know the identity, `RegistryUnavailable` where it is away
    or throttles, `PermanentError` where its firewall refuses or it is none of Azure's. Errors of
    `AzureIdentity.token`.
    """
    form = {"grant_type": "access_token", "service": address, "access_token": identity.token(REGISTRY).value}
    if identity.tenant:
        form["tenant"] = identity.tenant
    try:
        return _Exchanged.model_validate_json(_answer(address, "exchange", form)).refresh_token
    except ValidationError:
        raise _no_token(address) from None  # its words hold what came


def rights(address: str, repository: str, login: Login) -> frozenset[str]:
    """What the login may do in the repository, as pull, push and delete; errors as of `exchange`.

    A token is asked for with all of these actions, and names those that it was given. Nothing is pulled or
    pushed.
    """
    known = login()
    form = {
        "grant_type": "refresh_token",
        "service": address,
        "refresh_token": known.password if known else "",
        "scope": f"repository:{repository}:pull,push,delete,metadata_read",
    }
    try:
        given = _AccessToken.model_validate_json(_answer(address, "token", form)).access_token
        return frozenset(str(action) for entry in claims_of(given)["access"] for action in entry["actions"])
    except (ValidationError, jwt.PyJWTError, KeyError, TypeError):
        raise _no_token(address) from None  # its words hold what came


def _answer(address: str, path: str, form: dict[str, str]) -> bytes:
    """What the registry's token service answers."""
    url = f"https://{address}/oauth2/{path}"
    try:
        with bounded.client(timeout=TIMEOUT, verify=authorities()) as client:
            answer = bounded.ask(client, "POST", url, Bounds(TOKEN_LIMIT, 60), data=form)
    except httpx.TransportError as error:
        raise refusals.unreachable(address, url, error) from error
    except TooLarge:
        raise _no_token(address) from None
    if not answer.is_success:
        raise _refusal(address, answer)
    return answer.content


def _given(address: str, token: str) -> ExpiringCredentials:
    try:
        ends = datetime.fromtimestamp(claims_of(token)["exp"], UTC)
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        raise _no_token(address) from None
    return ExpiringCredentials(Credentials(address, TOKEN_USER, token, HOW_TO_CORRECT), ends - RENEWED_BEFORE)


def _refusal(address: str, answer: httpx.Response) -> SlipwayError:
    said = refusals.words_of(answer)
    place = Place(address, "", HOW_TO_CORRECT)
    if known := refusals.unavailable(address, answer) or refusals.of_words(place, said):
        return known
    if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return refusals.refused(place, said)
    return _no_token(address)


def _no_token(address: str) -> PermanentError:
    return PermanentError(
        f"The registry {address} does not exchange a token of Entra ID for one of its own.",
        'Check that [registry] address is that of an Azure Container Registry; [registry] login = "azure" is '
        "for no other.",
    )
