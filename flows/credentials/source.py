"""Where a run's credentials come from: Prefect's blocks (flow runs), or variables (a run by hand)."""

from typing import Protocol

from flows.config.schema import Engine, Environment, ModelSettings, Registry, Results, Source
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import Credentials


class CredentialSource(Protocol):
    """What gives credentials; `prefect_blocks` and `environment` do. `SettingsError`: it is missing."""

    def source_token(self, source: Source) -> str | None:
        """A token for the repository; None: as git on this machine gets in."""

    def status_token(self, source: Source) -> str | None:
        """A token for commit statuses; None: no status is sent."""

    def registry_credentials(self, registry: Registry) -> Credentials | None:
        """User name and password; None: the registry lets everybody in."""

    def engine_url(self, engine: Engine) -> str | None:
        """Where the container engine listens; None: as the environment says."""

    def blob_store(self, model: ModelSettings) -> BlobStore:
        """The container of models."""

    def results_storage(self, results: Results) -> tuple[BlobStore, str] | None:
        """Where passed tests are cached, and the folder to use in it; None: on this machine."""

    def kubeconfig(self, environment: str, wanted: Environment) -> str | None:
        """The kubeconfig of the account that releases there; None: the one that slipway.toml names."""
