"""Tokens of a GitHub App: for one repository, with the permissions asked for, for an hour.

https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Lock
from urllib.parse import urlsplit

import httpx
import jwt
from pydantic import BaseModel, ValidationError

from flows.core.errors import (
    CredentialsRefused,
    PermanentError,
    SettingsError,
    SlipwayError,
    SourceUnavailable,
)
from flows.core.trigger.trigger import identify
from flows.services.process import bounded
from flows.services.process.bounded import Bounds, TooLarge
from flows.services.process.tls import authorities

BOUNDS = Bounds(1 << 20, 20)
BEFORE_NOW, VALID_FOR = 60, 540
"""Seconds from now to a JWT's claims `iat` and `exp`. GitHub accepts ten minutes at most, and no `iat` that
is in the future by its own clock."""

IF_REFUSED = "Check at GitHub that the App may read Contents, and that its installation has this repository."

RENEWED_BEFORE = timedelta(minutes=5)
"""Before its end, a token is replaced."""

TOLERATED = timedelta(seconds=30)
"""A refusal is blamed on this machine's clock where it differs from GitHub's by more."""


class _Installation(BaseModel):
    id: int


class _Token(BaseModel):
    token: str
    expires_at: datetime


@dataclass
class Installation:
    """An App where it is installed on that repository (owner/name); `key` gives its private key as PEM."""

    api: str
    repository: str
    client_id: str
    key: Callable[[], str] = field(repr=False)
    permissions: Mapping[str, str]
    _kept: _Token | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def token(self) -> str:
        """A token that is valid for five minutes at least; it is cached.

        `CredentialsRefused`, `SettingsError`, or `PermanentError` for a wrong clock, where GitHub gives none;
        `SourceUnavailable` where it is away or throttles.
        """
        with self._lock:
            if self._kept is None or datetime.now(UTC) > self._kept.expires_at - RENEWED_BEFORE:
                self._kept = self._asked()
            return self._kept.token

    def _asked(self) -> _Token:
        headers = {
            "Authorization": f"Bearer {self._signed()}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        try:
            with bounded.client(timeout=10, verify=authorities()) as client:
                url = f"{self.api}/repos/{self.repository}/installation"
                found = self._taken(bounded.ask(client, "GET", url, BOUNDS, headers=headers))
                installation = _Installation.model_validate_json(found.content)
                url = f"{self.api}/app/installations/{installation.id}/access_tokens"
                wanted = {
                    "repositories": [self.repository.partition("/")[2]],
                    "permissions": dict(self.permissions),
                }
                given = self._taken(bounded.ask(client, "POST", url, BOUNDS, headers=headers, json=wanted))
                return _Token.model_validate_json(given.content)
        except (httpx.TransportError, TooLarge, ValidationError) as error:
            raise SourceUnavailable(
                f"{self.api} gave no token for the GitHub App: {type(error).__name__}.",
                "Check that this machine reaches it. For a server of your own, set [source] status_api.",
            ) from error

    def _signed(self) -> str:
        now = int(time.time())
        claims = {"iat": now - BEFORE_NOW, "exp": now + VALID_FOR, "iss": self.client_id}
        try:
            return jwt.encode(claims, self.key(), "RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            raise CredentialsRefused(
                f"The Secret block of the GitHub App {self.client_id} holds no private key.",
                "Save it with the whole PEM file that GitHub gave: [source] github_app.",
            ) from None  # its text may quote the key

    def _taken(self, answer: httpx.Response) -> httpx.Response:
        if not answer.is_success:
            raise self._refused(answer)
        return answer

    def _refused(self, answer: httpx.Response) -> SlipwayError:
        status, said = answer.status_code, _message(answer)
        about = f"GitHub's answer for the App {self.client_id}"
        limited = status == 429 or (status == 403 and "rate limit" in said.lower())
        if limited or status >= 500:
            return SourceUnavailable(
                f"{about} is {status}: {said}", "Wait; if it lasts, check https://www.githubstatus.com."
            )
        ahead = _ahead(answer)
        if status == 401 and abs(ahead) > TOLERATED:
            way = "ahead of" if ahead > timedelta() else "behind"
            return PermanentError(
                f"{about} is {status}: this machine's clock is {abs(ahead).total_seconds():.0f} s {way} "
                "GitHub's.",
                "Set the clock, and keep it set by NTP.",
                details=said,
            )
        if status == 401:
            return CredentialsRefused(
                f"{about} is {status}: the private key is none of the App's, or was deleted there.",
                "Create a key at GitHub, and save it in the block of [source] github_app.",
                details=said,
            )
        if status == 404 and "integration" in said.lower():
            return SettingsError(
                f"GitHub knows no App {self.client_id}.",
                "Correct [source] github_app.",
                details=said,
            )
        if status == 404:
            return CredentialsRefused(
                f"The GitHub App {self.client_id} is not installed on {self.repository}.",
                "Install it on this repository: in the App's settings at GitHub, under Install App.",
                details=said,
            )
        if status == 422:
            needed = ", ".join(f"{name}: {access}" for name, access in self.permissions.items())
            return CredentialsRefused(
                f"The GitHub App {self.client_id} lacks a permission that is needed ({needed}): {said}",
                "Add it in the App's settings at GitHub, and let an owner of the organization accept it.",
            )
        return CredentialsRefused(
            f"{about} is {status}: {said}", "Check at GitHub that the installation is not suspended."
        )


def installation(
    repository: str, api: str | None, client_id: str, key: Callable[[], str], permissions: Mapping[str, str]
) -> Installation:
    """The App on the repository at that URL; `api` is None where it follows from the URL.

    `SettingsError` where the URL names no owner and repository.
    """
    host, _, path = identify(repository).partition("/")
    if path.count("/") != 1:
        raise SettingsError(
            f"A GitHub App can't sign in to {repository}.",
            "Name a repository as https://github.com/<owner>/<name>.",
        )
    return Installation((api or github_api(host)).rstrip("/"), path, client_id, key, permissions)


def github_api(host: str) -> str:
    """The address of the REST API for a host of repositories: github.com, ghe.com or an Enterprise server."""
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}"
    return f"https://{host}/api/v3"


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])[:300]
    except (ValueError, TypeError, KeyError):
        return f"no message of GitHub's, but {urlsplit(str(answer.url)).hostname} answered"


def _ahead(answer: httpx.Response) -> timedelta:
    """By how much this machine's clock is ahead of the server's; nothing where that does not say."""
    try:
        return datetime.now(UTC) - parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, ValueError, TypeError):
        return timedelta()
