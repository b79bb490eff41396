"""Where a run's credentials come from: Prefect's blocks (flow runs), or variables (a run by hand)."""

from typing import Literal, Protocol

from flows.config.load import Settings
from flows.config.schema import (
    Azure,
    Engine,
    Environment,
    ModelSettings,
    Registry,
    Results,
)
from flows.services.azure.identity import AzureIdentity
from flows.services.git.login import GitLogin, HttpLogin
from flows.services.models.azure_blobs import NO_IDENTITY, AzureAccess
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import Login


class CredentialSource(Protocol):
    """What gives credentials: `prefect_blocks` or `environment`. `SettingsError` where one is missing."""

    def azure(self, azure: Azure) -> AzureIdentity:
        """The identity for all of Azure."""

    def repository_login(self, settings: Settings, table: Literal["source", "manifests"]) -> GitLogin | None:
        """As whom git asks the repository of that table; None: as git on this machine gets in."""

    def status_login(self, settings: Settings) -> HttpLogin | None:
        """As whom commit statuses are sent; None: none is."""

    def registry_login(self, registry: Registry, of_azure: Azure) -> Login:
        """What gives the credentials at each use, as the identity of [azure] where that signs in there."""

    def engine_url(self, engine: Engine) -> str | None:
        """Where the container engine listens; None: as the environment says."""

    def blob_store(self, model: ModelSettings, access: AzureAccess = NO_IDENTITY) -> BlobStore:
        """The store of models; `access` is how [azure] signs in."""

    def results_storage(self, results: Results, access: AzureAccess) -> tuple[BlobStore, str] | None:
        """Where passed tests are cached, and the folder to use in it; None: on this machine."""

    def results_secret(self, results: Results) -> str:
        """What passed tests are authenticated with."""

    def kubeconfig(self, environment: str, wanted: Environment) -> str | None:
        """The kubeconfig of the account that releases there; None: the one that slipway.toml names."""
