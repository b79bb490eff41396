"""The state of a commit's run, sent to the host of its repository, which shows it beside the commit.

GitHub: REST, "Create a commit status". Azure Repos: REST 7.1, "Statuses - Create".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import urlsplit

import httpx

from flows.core.errors import CredentialsRefused, SettingsError, StatusNotTaken
from flows.core.trigger.trigger import identify
from flows.services.git.github_app import github_api
from flows.services.git.login import HttpLogin
from flows.services.process import bounded
from flows.services.process.bounded import Bounds, TooLarge
from flows.services.process.tls import authorities

BuildStatus = Literal["pending", "success", "failure"]

TIMEOUT = 5
"""Seconds: no run waits long for a slow host."""

BOUNDS = Bounds(1 << 20, 2 * TIMEOUT)

NAME = "slipway"
DESCRIPTION_LIMIT = 140
"""Characters, at GitHub; Azure Repos takes more."""


class CommitStatus(Protocol):
    """A host that shows statuses."""

    def tell(self, sha: str, state: BuildStatus, description: str, link: str) -> None:
        """Show that beside the commit, with a link to the run.

        `StatusNotTaken` or `CredentialsRefused` where the host does not take it.
        """


@dataclass(frozen=True)
class GitHub:
    """A repository (owner/name); `api` is https://api.github.com, or that of an Enterprise server."""

    api: str
    repository: str
    login: HttpLogin

    def tell(self, sha: str, state: BuildStatus, description: str, link: str) -> None:
        """As `CommitStatus` says."""
        _post(
            f"{self.api}/repos/{self.repository}/statuses/{sha}",
            {"state": state, "target_url": link, "description": _short(description), "context": NAME},
            {
                "Authorization": f"Bearer {self.login.value()}",
                "Accept": "application/vnd.github+json",
            },
        )


@dataclass(frozen=True)
class AzureRepos:
    """A repository by its name; `api` is https://dev.azure.com/<organization>/<project>."""

    api: str
    repository: str
    login: HttpLogin

    def tell(self, sha: str, state: BuildStatus, description: str, link: str) -> None:
        """As `CommitStatus` says."""
        states = {"pending": "pending", "success": "succeeded", "failure": "failed"}
        _post(
            f"{self.api}/_apis/git/repositories/{self.repository}/commits/{sha}/statuses?api-version=7.1",
            {
                "state": states[state],
                "targetUrl": link,
                "description": _short(description),
                "context": {"name": "ci", "genre": NAME},
            },
            {"Authorization": self.login.authorization()},
        )


def host(repository: str, provider: str | None, api: str | None, login: HttpLogin) -> CommitStatus | None:
    """The client for statuses of the repository at that URL; None if its host takes none.

    `provider` is github, azure-repos or none, `api` its interface's address; None: as the URL's host says.
    `SettingsError` where the URL does not tell what the provider needs to know.
    """
    name, _, path = identify(repository).partition("/")
    provider = provider or _provider_of(name)
    if provider == "github":
        if path.count("/") != 1:
            raise _unclear(repository, "https://github.com/<owner>/<name>")
        return GitHub((api or github_api(name)).rstrip("/"), path, login)
    if provider == "azure-repos":
        project, separator, repo = path.partition("/_git/")
        if not separator:
            raise _unclear(repository, "https://dev.azure.com/<organization>/<project>/_git/<name>")
        return AzureRepos((api or f"https://{name}/{project}").rstrip("/"), repo, login)
    return None


def _provider_of(host: str) -> str:
    if host == "github.com":
        return "github"
    return "azure-repos" if host == "dev.azure.com" or host.endswith(".visualstudio.com") else "none"


def _post(url: str, content: Mapping[str, object], headers: Mapping[str, str]) -> None:
    where = urlsplit(url).hostname
    try:
        with bounded.client(timeout=TIMEOUT, verify=authorities()) as client:
            answer = bounded.ask(client, "POST", url, BOUNDS, json=content, headers=headers)
    except httpx.InvalidURL as error:
        raise SettingsError(
            f"The commit status could not be sent to {url!r}: {error}.",
            "Correct [source] repository or status_api.",
        ) from error
    except UnicodeEncodeError:  # httpx, of a header that holds the token
        raise CredentialsRefused(
            f"The token for the commit's status at {where} holds a character that no token has.",
            "Save its Secret block again: [source] status_credentials.",
        ) from None
    except (httpx.TransportError, TooLarge) as error:
        raise StatusNotTaken(
            f"The commit status could not be sent to {where}: {type(error).__name__}.",
            "Do nothing: no release depends on it.",
        ) from error
    if answer.status_code in {401, 403, 404}:  # 404: a private repository that the token may not see
        raise CredentialsRefused(
            f"The commit status could not be sent to {where}: it refused the token ({answer.status_code}).",
            "Name a Secret block with a token that may write statuses: [source] status_credentials.",
        )
    if not answer.is_success:
        raise StatusNotTaken(
            f"The commit status could not be sent to {where}: it answered {answer.status_code}.",
            "Do nothing: no release depends on it.",
        )


def _short(description: str) -> str:
    text = " ".join(description.split())
    return text if len(text) <= DESCRIPTION_LIMIT else f"{text[: DESCRIPTION_LIMIT - 1]}…"


def _unclear(repository: str, expected: str) -> SettingsError:
    return SettingsError(
        f"[source] repository is {repository}, and commit statuses need {expected}.",
        'Correct it, or send no statuses: status = "none" under [source].',
    )
