"""Why a registry refused: the error for its answer, or for docker's words about it, says who has to act."""

import re
from dataclasses import dataclass
from textwrap import shorten

import httpx
from httpx_retries import Retry
from pydantic import BaseModel, ValidationError

from flows.core.errors import (
    CredentialsRefused,
    PermanentError,
    RegistryUnavailable,
    SlipwayError,
)
from flows.services.process.network_faults import permanent_fault, through_proxy

QUOTED = 300
"""Characters of the registry's own words in a message."""

FIREWALL = re.compile(r"is not allowed access|acr/firewall", re.IGNORECASE)
LOCKED = re.compile(r"operation is disallowed|disallowed.operation|tag is immutable", re.IGNORECASE)
EXPIRED = re.compile(r"token (has|is) expired", re.IGNORECASE)
NO_RIGHT = re.compile(r"insufficient.scope|not authorized to perform|requested access to the resource", re.I)
"""Words of Azure Container Registry and of ECR."""

BLOCK = (
    "Set user name and password in the DockerRegistryCredentials block that [registry] names; a run by hand "
    "takes SLIPWAY_REGISTRY_USERNAME and SLIPWAY_REGISTRY_PASSWORD, or what docker login left."
)
"""What to do where credentials say nothing else."""

PULL, PUSH, DELETE = "pull", "push", "delete"
"""Actions of the distribution specification's "Token Scope"."""

AZURE_ROLES = {
    PULL: ("AcrPull", "Container Registry Repository Reader"),
    PUSH: ("AcrPush", "Container Registry Repository Writer"),
    DELETE: ("AcrDelete", "Container Registry Repository Contributor"),
}
"""The role that allows an action: for the whole registry, and for a repository where the registry is ABAC.

https://learn.microsoft.com/azure/container-registry/container-registry-rbac-built-in-roles-overview
"""


class _Error(BaseModel):
    code: str = ""
    message: str = ""


class _Answer(BaseModel):
    """Distribution specification, "Error Codes"."""

    errors: list[_Error] = []


@dataclass(frozen=True)
class Place:
    """A repository in a registry, as errors name it, and how to correct the login that was used there."""

    address: str
    repository: str
    how_to_sign_in: str = BLOCK


def words_of(answer: httpx.Response) -> str:
    """What the registry says itself, if it does."""
    try:
        errors = _Answer.model_validate_json(answer.content).errors
    except ValidationError:
        return ""
    return shorten(errors[0].message or errors[0].code, QUOTED, placeholder=" …") if errors else ""


def unreachable(address: str, url: str, error: Exception) -> SlipwayError:
    """The error where no answer came at all."""
    if fault := permanent_fault(f"the registry {address}", url, error):
        return fault
    return RegistryUnavailable(f"The registry {address} could not be reached{through_proxy(url)}: {error}.")


def unavailable(address: str, answer: httpx.Response) -> RegistryUnavailable | None:
    """The error where trying again may help, with the pause in seconds that the registry asks for."""
    code = answer.status_code
    if code != httpx.codes.TOO_MANY_REQUESTS and code < httpx.codes.INTERNAL_SERVER_ERROR:
        return None
    try:
        pause = Retry().parse_retry_after(answer.headers.get("retry-after", ""))
    except ValueError:
        pause = 0.0
    wish = f" and asks for a pause of {pause:g} s" if pause else ""
    return RegistryUnavailable(
        f"The registry {address} answered {code}{wish}.",
        "Check the registry's log, its load and its rate limits.",
        retry_after=pause,
    )


def of_words(place: Place, said: str) -> SlipwayError | None:
    """The error that the registry's words alone tell, whether it answered us or docker; None: none."""
    if FIREWALL.search(said):
        return PermanentError(
            f"The firewall of the registry {place.address} does not let this machine in: {said}.",
            "Add this machine's address to the networks that the registry allows, or reach the registry by "
            "its private endpoint.",
        )
    if LOCKED.search(said):
        return PermanentError(
            f"The registry {place.address} lets no client change this tag or image of {place.repository}: "
            f"it is locked. It says: {said}.",
            "Unlock it; on Azure Container Registry: az acr repository update --name REGISTRY "
            "--image REPOSITORY:TAG --write-enabled true --delete-enabled true. Let no rule make `latest` "
            "immutable.",
        )
    if EXPIRED.search(said):
        return refused(place, said)
    return None


def refused(place: Place, said: str = "") -> CredentialsRefused:
    """The error where a registry does not believe the credentials; `said` are its own words."""
    return CredentialsRefused(
        f"The registry {place.address} refuses the credentials it was given.{_quoted(said)}",
        place.how_to_sign_in,
    )


def login_needed(place: Place) -> CredentialsRefused:
    """The error where a registry was asked without credentials, and does not answer like that."""
    return CredentialsRefused(
        f"The registry {place.address} needs a login for this request, and there is none.",
        place.how_to_sign_in,
    )


def no_right(place: Place, action: str, granted: frozenset[str] | None, said: str = "") -> CredentialsRefused:
    """The error where a registry knows the credentials, and they lack a right.

    `granted` are the actions that its token allows in the repository; None: the registry does not tell.
    """
    role, of_repositories = AZURE_ROLES[action]
    right = (
        f'allow it in the registry: on Azure, by the role {role}, or by "{of_repositories}" with a condition '
        "for the repository, if the registry has permissions for each repository (ABAC). A new role may "
        "take up to 30 minutes."
    )
    if granted == frozenset():
        return CredentialsRefused(
            f"The registry {place.address} does not let these credentials read the repository "
            f"{place.repository}.{_quoted(said)}",
            f"Check that [registry] repository is one that they are for. To {action}, {right}",
        )
    rest = f", only {' and '.join(sorted(granted & {PULL, PUSH, DELETE}))}" if granted else ""
    return CredentialsRefused(
        f"The registry {place.address} does not let these credentials {action} in the repository "
        f"{place.repository}{rest}.{_quoted(said)}",
        right[0].upper() + right[1:],
    )


def _quoted(said: str) -> str:
    return f" It says: {said}." if said else ""
