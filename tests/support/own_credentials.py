"""Credentials for stages that are called without a server: of a registry, and of a folder for passes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from flows.config.schema import Azure, Engine, Results
from flows.config.schema import Registry as RegistrySettings
from flows.core.errors import SettingsError
from flows.credentials.source import CredentialSource
from flows.services.models import blob_providers
from flows.services.models.azure_blobs import AzureAccess
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import Credentials, Login, always, anonymous


@dataclass
class OwnCredentials:
    """`secrets` authenticate passes: the first, if there is one."""

    folder: Path
    login: Credentials | None = None
    secrets: list[str] = field(default_factory=lambda: ["s3cret-of-the-workers"])

    @property
    def source(self) -> CredentialSource:
        """As stages take it; what is missing here, the stages under test don't ask for."""
        return cast(CredentialSource, self)

    def registry_login(self, _registry: RegistrySettings, _of_azure: Azure) -> Login:
        """The login, if there is one."""
        return always(self.login) if self.login else anonymous

    def engine_url(self, _engine: Engine) -> None:
        """This machine's."""

    def results_storage(self, _results: Results, _access: AzureAccess) -> tuple[BlobStore, str]:
        """The folder."""
        return blob_providers.folder(self.folder), ""

    def results_secret(self, results: Results) -> str:
        """The first."""
        if not self.secrets:
            raise SettingsError(f"Prefect has no block secret/{results.secret}.")
        return self.secrets[0]
