"""Why an identity got no token, as errors that keep Entra ID's code and name the setting to correct.

The codes: https://learn.microsoft.com/entra/identity-platform/reference-error-codes. No error quotes what was
sent, and none is chained to its cause: libraries put requests into their texts.
"""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt

from flows.core.errors import CredentialsRefused, IdentityUnavailable, SettingsError, SlipwayError
from flows.services.process.network_faults import permanent_fault, through_proxy

if TYPE_CHECKING:
    from flows.services.azure.identity import AzureIdentity

_CODE = re.compile(r"AADSTS(\d+)")
_SENTENCE = re.compile(r"AADSTS\d+: (.*?)(?: Trace ID| Correlation ID|$)", re.DOTALL)
_STATUS = re.compile(r"HTTP Error: (\d{3})")

_BUSY = {90024, 90033, 90055}
"""Throttled, or out of order for a moment, whatever the status is."""

TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500

_STARTING = {404, 410}
"""Statuses of a machine's endpoint that is being started or updated:
https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
"""

_NO_MATCH = {70021, 700211, 700212, 700213}
_EXPIRED_ASSERTION = 700024


class _Meaning(NamedTuple):
    """What happened, and what to do; both take the identity's `client_id` and `tenant`."""

    happened: str
    remedy: str


_REFUSALS = {
    7000215: _Meaning(
        "The client secret of the application {client_id} is wrong",
        "Put the secret's value, not its id, into the Secret block that [azure] credentials names.",
    ),
    7000222: _Meaning(
        "The client secret of the application {client_id} has expired",
        "Create a new one, and put its value into the Secret block that [azure] credentials names.",
    ),
    700016: _Meaning(
        "The directory {tenant} has no application {client_id}",
        "Correct [azure] client_id, the application's id and not its object id, or [azure] tenant.",
    ),
    700027: _Meaning(
        "The certificate that was used to sign in is not one of the application {client_id}",
        "Upload it at the application, or correct the Secret block that [azure] credentials names.",
    ),
    7000112: _Meaning(
        "The application {client_id} is disabled in the directory {tenant}", "Enable it in Entra ID."
    ),
    90002: _Meaning(
        "There is no directory {tenant}, or it is in another cloud", "Correct [azure] tenant or cloud."
    ),
    500011: _Meaning(
        "The directory {tenant} does not know the service that the token is for",
        "Check [azure] cloud, and that a subscription of the directory uses the service.",
    ),
}
_REFUSALS[900023] = _REFUSALS[90002]

_SIGN_IN_AGAIN = "Run `az login` again on this machine, as the user that runs Slipway."


def translated(error: Exception, identity: "AzureIdentity", status: int | None) -> SlipwayError:
    """Our error for what azure-identity raised; `status` is that of the last answer, None without one."""
    said = str(error)
    code = int(found[1]) if (found := _CODE.search(said)) else None
    if identity.kind == "azure-cli":
        return _of_the_cli(error, code)
    if identity.kind == "managed":
        return _of_the_machine(said, identity, status)
    if code in _BUSY or _may_pass(status):
        reason = f"AADSTS{code}" if code else f"status {status}"
        return IdentityUnavailable(
            f"Entra ID is too busy or out of order ({reason}).",
            "Wait, then start the run again. If it lasts, check https://azure.status.microsoft.",
        )
    if code is not None:
        return _refused(code, said, identity)
    if "Unable to get authority configuration" in said:  # msal keeps the code 90002 to itself
        return _refused(90002, said, identity)
    return _unreachable(error, identity)


def _refused(code: int, said: str, identity: "AzureIdentity") -> SlipwayError:
    if identity.kind == "workload" and code in _NO_MATCH:
        shown = shown_token(identity)
        return CredentialsRefused(
            f"No federated credential of the identity {identity.client_id} matches this workload's token "
            f"(AADSTS{code}): issuer {shown.issuer!r}, subject {shown.subject!r}, "
            f"audience {shown.audience!r}.",
            "Create a federated credential with exactly these three at that identity, or correct [azure] "
            "client_id.",
        )
    if identity.kind == "workload" and code == _EXPIRED_ASSERTION:
        shown = shown_token(identity)
        return CredentialsRefused(
            f"The federated token of issuer {shown.issuer!r} is not valid now (AADSTS{code}), but from "
            f"{shown.begins} to {shown.ends}.",
            f"Check that the pod or CI system renews {identity.token_file}, and check this machine's clock.",
        )
    meaning = _REFUSALS.get(code)
    if meaning is None:
        sentence = found[1] if (found := _SENTENCE.search(said)) else ""
        return CredentialsRefused(
            f"Entra ID refuses the identity {identity.client_id} (AADSTS{code}): {sentence.rstrip('.')}.",
            f"Look the code up at https://login.microsoftonline.com/error?code={code}, and check [azure].",
        )
    happened = meaning.happened.format(client_id=identity.client_id, tenant=identity.tenant)
    return CredentialsRefused(f"{happened} (AADSTS{code}).", meaning.remedy)


def _may_pass(status: int | None) -> bool:
    """Whether the status is that of a server that throttles or has a problem of its own."""
    return status is not None and (status == TOO_MANY_REQUESTS or status >= SERVER_ERROR)


def _unreachable(error: Exception, identity: "AzureIdentity") -> SlipwayError:
    authority = identity.cloud.authority
    place = f"Entra ID at {authority}"
    if fault := permanent_fault(place, authority, error):
        return fault
    return IdentityUnavailable(f"{place} could not be reached{through_proxy(authority)}.")


def _of_the_machine(said: str, identity: "AzureIdentity", status: int | None) -> SlipwayError:
    if "Multiple user assigned identities" in said:
        return SettingsError(
            "This machine has several managed identities, and slipway.toml does not say which.",
            "Set [azure] client_id to the client id of one of them.",
        )
    if status is not None and status not in _STARTING and not _may_pass(status):
        which = f"identity {identity.client_id}" if identity.client_id else "system-assigned identity"
        return CredentialsRefused(
            f"This machine does not have the managed {which}.",
            "Assign the identity to the machine, or correct [azure] client_id.",
        )
    how = f"answered {status}" if status else "did not answer"
    return IdentityUnavailable(
        f"The endpoint of managed identities on this machine {how}.",
        "Check that this machine runs in Azure and that it may reach 169.254.169.254; elsewhere, set another "
        "[azure] identity.",
    )


def _of_the_cli(error: Exception, code: int | None) -> SlipwayError:
    said = str(error)
    if "not found on path" in said:
        return SettingsError(
            '[azure] identity is "azure-cli", but the Azure CLI is not installed on this machine.',
            "Install az, or set another [azure] identity.",
        )
    if isinstance(error.__cause__, subprocess.TimeoutExpired):
        return IdentityUnavailable(
            f"The Azure CLI gave no token within {error.__cause__.timeout:g} s.",
            "Run `az account get-access-token` on this machine.",
        )
    if code is not None:
        return CredentialsRefused(
            f"Entra ID refuses the account of the Azure CLI on this machine (AADSTS{code}).", _SIGN_IN_AGAIN
        )
    if "az login" in said:
        return CredentialsRefused("The Azure CLI on this machine is not signed in.", _SIGN_IN_AGAIN)
    return CredentialsRefused(
        "The Azure CLI on this machine gave no token.",
        "Run `az account get-access-token` on this machine, and correct what it reports.",
    )


class _Shown(NamedTuple):
    """What a federated token says of itself."""

    issuer: str
    subject: str
    audience: str
    begins: str
    ends: str


def shown_token(identity: "AzureIdentity") -> _Shown:
    """What Entra ID was shown; "" and "an unknown time" where the file holds no token."""
    try:
        token = Path(identity.token_file).read_text().strip()
        said: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (OSError, ValueError, jwt.PyJWTError):
        said = {}
    audience = said.get("aud", "")
    return _Shown(
        str(said.get("iss", "")),
        str(said.get("sub", "")),
        ", ".join(audience) if isinstance(audience, list) else str(audience),
        _time(said.get("nbf", said.get("iat"))),
        _time(said.get("exp")),
    )


def _time(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return "an unknown time"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
