"""As whom Slipway signs in at Azure: exactly the identity that the settings name, never a chain of them."""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flows.core.errors import SettingsError
from flows.services.azure.cloud import Cloud
from flows.services.azure.errors import translated

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

Kind = Literal["workload", "managed", "service-principal", "azure-cli"]

STORAGE = "https://storage.azure.com/.default"
REGISTRY = "https://containerregistry.azure.net/.default"
DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798/.default"
"""Scopes of tokens for Blob Storage, Container Registry and Azure DevOps, the same in all clouds."""

CLI_ANSWERS_WITHIN = 60
"""Seconds: `az` takes more than its client's default of 10 on a busy machine."""

TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105  # a variable's name
"""Set in a pod by workload identity, and by CI systems."""

_PATIENCE = {"retry_total": 1, "retry_connect": 0, "connection_timeout": 10, "read_timeout": 30}
"""What lasts longer is the task's to try again, where operators see it. Time-outs are in seconds."""


@dataclass(frozen=True)
class Token:
    """A token of Entra ID, and until when it is valid."""

    value: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True)
class AzureIdentity:
    """One identity of one directory. `secret` gives a service principal's client secret, or its certificate
    and key as PEM; it is asked when the first token is.

    `own_authority`: Entra ID is not at the cloud's own address, so that is not asked about it.
    """

    kind: Kind
    cloud: Cloud
    tenant: str | None = None
    client_id: str | None = None
    secret: Callable[[], str] | None = field(default=None, repr=False)
    own_authority: bool = False

    def token(self, scope: str) -> Token:
        """A token for that scope, from memory while it is valid for minutes yet.

        `CredentialsRefused` or `SettingsError` says what to correct; `IdentityUnavailable` where what gives
        tokens is away.
        """
        given = self.credential.get_token(scope)
        return Token(given.token, datetime.fromtimestamp(given.expires_on, UTC))

    @cached_property
    def credential(self) -> "TokenCredential":
        """The same for a client of Azure's own libraries, with the same errors."""
        return _Credential(self)

    @property
    def token_file(self) -> str:
        """The file with the federated token of a workload; `SettingsError` where there is none."""
        if file := os.environ.get(TOKEN_FILE):
            return file
        raise SettingsError(
            f'[azure] identity is "workload", but {TOKEN_FILE} is not set: there is no federated token here.',
            "In AKS, give the pod the label azure.workload.identity/use and the identity's service account.",
        )

    def open(self, seen: Callable[[Any], None]) -> "TokenCredential":
        """The library's credential; `seen` gets every answer of what gives tokens."""
        from azure import identity as known  # noqa: PLC0415  # takes half a second to import

        logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # its errors say it again
        entra: dict[str, Any] = {
            "authority": self.cloud.authority,
            "disable_instance_discovery": self.own_authority,
            "raw_response_hook": seen,
            **_PATIENCE,
        }
        match self.kind:
            case "workload":
                assert self.tenant is not None  # the settings have both
                assert self.client_id is not None
                return known.ClientAssertionCredential(
                    self.tenant, self.client_id, self._federated_token, **entra
                )
            case "managed":
                return known.ManagedIdentityCredential(
                    client_id=self.client_id, raw_response_hook=seen, retry_connect=0
                )
            case "azure-cli":
                return known.AzureCliCredential(
                    tenant_id=self.tenant or "", process_timeout=CLI_ANSWERS_WITHIN
                )
            case "service-principal":
                return self._service_principal(entra)

    def _federated_token(self) -> str:
        """Read at each question: it is replaced every hour or so."""
        try:
            return Path(self.token_file).read_text().strip()
        except OSError as error:
            raise SettingsError(
                f"The federated token can't be read from {self.token_file}: {error.strerror}.",
                f"Correct {TOKEN_FILE}, or the volume of the pod that holds the file.",
            ) from error

    def _service_principal(self, options: dict[str, Any]) -> "TokenCredential":
        from azure import identity as known  # noqa: PLC0415  # as above

        assert self.secret is not None
        assert self.tenant is not None  # the settings have both
        assert self.client_id is not None
        secret = self.secret()
        if "-----BEGIN" not in secret:
            return known.ClientSecretCredential(self.tenant, self.client_id, secret.strip(), **options)
        try:
            return known.CertificateCredential(
                self.tenant, self.client_id, certificate_data=secret.encode(), **options
            )
        except ValueError:
            # not chained: the cause may quote the key
            raise SettingsError(
                "The Secret block that [azure] credentials names holds no certificate with its key.",
                "Put both into it as PEM, without a passphrase.",
            ) from None


class _Credential:
    """The library's credential for an identity, with our errors.

    After an error it is made again, so that a secret or certificate that was replaced meanwhile is used.
    """

    def __init__(self, identity: AzureIdentity) -> None:
        self._identity = identity
        self._opened: TokenCredential | None = None
        self._answer = threading.local()

    def get_token(self, *scopes: str, **options: Any) -> "AccessToken":
        """As azure.core.credentials.TokenCredential has it."""
        from azure.core.exceptions import AzureError  # noqa: PLC0415  # as above

        self._answer.status = None
        try:
            opened = self._opened = self._opened or self._identity.open(self._see)
            return opened.get_token(*scopes, **options)
        except AzureError as error:
            self._opened = None
            raise translated(error, self._identity, self._answer.status) from None

    def _see(self, answer: Any) -> None:
        self._answer.status = answer.http_response.status_code
