"""The context of one run of a flow: its settings, its clients of outside systems, and its journal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from flows.config import load as configuration
from flows.config import network
from flows.config.load import CHECKOUT, Settings
from flows.config.schema import ModelSettings
from flows.core.build.capsule import Capsule
from flows.core.build.image import Image, Reference
from flows.core.build.image import parse as parse_image
from flows.core.build.trust import Trust
from flows.core.errors import ImageNotFound, SettingsError
from flows.core.model.manifest import ModelManifest, parse
from flows.credentials.azure import access as azure_access
from flows.credentials.source import CredentialSource
from flows.services.azure.identity import AzureIdentity
from flows.services.git import commit_status
from flows.services.git.commit_status import CommitStatus
from flows.services.git.repository import Repository
from flows.services.images.container_engine import ContainerEngine
from flows.services.images.test_cache import TestCache
from flows.services.kubernetes.account import as_releasing
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.kubeconfig import AccountAccess, access
from flows.services.kubernetes.manifests import Overlay
from flows.services.kubernetes.release_store import Records
from flows.services.models import blob_providers
from flows.services.models.azure_blobs import AzureAccess
from flows.services.models.blob_store import BlobStore
from flows.services.models.duel_reports import DuelReports
from flows.services.models.golden_set_store import GoldenSetStore
from flows.services.models.model_store import ModelStore
from flows.services.models.plain_models import PlainDescription
from flows.services.models.transfer import Progress
from flows.services.process.cancellation import CancellationScope
from flows.services.process.command import Say
from flows.services.process.files import private_folder
from flows.services.process.temporary import sweep, temporary_folder
from flows.services.registry.client import Registry, resolve_base
from flows.services.registry.untagged import UntaggedImages
from flows.services.verification.public_endpoint import PublicEndpoint
from flows.stages.clusters import aks_cluster, cluster_of


@dataclass(frozen=True)
class Stage:
    """One stage that ended: its name, how long it took, and its outcome."""

    name: str
    seconds: float
    outcome: Literal["done", "failed"]


@dataclass(frozen=True)
class RunContext:
    """What every stage is given.

    `say` writes to the run's log, and `progress` shows how far a transfer of that title has come. The folder
    `workspace` is deleted at the end of the run; the processes and requests of its `scope` are ended.
    """

    id: str
    settings: Settings
    workspace: Path
    say: Say
    progress: Callable[[str], Progress]
    credentials: CredentialSource
    journal: list[Stage] = field(default_factory=list)
    scope: CancellationScope = field(default_factory=CancellationScope, repr=False)
    _model_manifests: dict[str, ModelManifest] = field(default_factory=dict, repr=False)
    _clusters: dict[str, Cluster] = field(default_factory=dict, repr=False)

    @property
    def cache(self) -> Path:
        """Folder of what makes later runs on this machine quicker; it may be deleted at any time."""
        return configuration.state_folder() / "cache"

    @property
    def reports(self) -> Path:
        """Folder of the reports that this run keeps on the machine."""
        return configuration.state_folder() / "reports" / self.id

    @cached_property
    def azure(self) -> AzureIdentity:
        """The identity for all of Azure; `SettingsError` where the settings name none."""
        return self.credentials.azure(self.settings.azure)

    @cached_property
    def repository(self) -> Repository:
        """The application's git repository."""
        return self._repository("source", self.settings.source.repository)

    @cached_property
    def manifests_repository(self) -> Repository:
        """The repository of the Kubernetes manifests, by default the application's."""
        wanted, source = self.settings.manifests, self.settings.source
        if wanted.repository is None or wanted.repository == source.repository:
            if not wanted.has_login:
                return self.repository
            return self._repository("manifests", source.repository)
        return self._repository("manifests", wanted.repository)

    def _repository(self, table: Literal["source", "manifests"], address: str) -> Repository:
        is_path = "://" not in address and "@" not in address
        url = str((CHECKOUT / address).resolve()) if is_path else address
        login = self.credentials.repository_login(self.settings, table)
        timeout = self.settings.source.fetch_timeout
        return Repository(url, self.cache / "source", login, timeout, table=table)

    @cached_property
    def commit_status(self) -> CommitStatus | None:
        """The client for commit statuses; None without a login, or if the host shows none."""
        source = self.settings.source
        login = self.credentials.status_login(self.settings)
        if login is None:
            return None
        repository = self.settings.hooks.repository or source.repository
        return commit_status.host(repository, source.status, source.status_api, login)

    @property
    def models(self) -> ModelStore:
        """The store to which models are published; with credentials as they are now."""
        wanted = self.settings.model
        blobs = self.credentials.blob_store(wanted, self._access)
        return ModelStore(blobs, self.cache / "models", plain=_plain(wanted), largest=wanted.largest)

    @property
    def golden_sets(self) -> GoldenSetStore:
        """The golden sets beside the models; with credentials as they are now."""
        blobs = self.credentials.blob_store(self.settings.model, self._access)
        return GoldenSetStore(blobs, self.cache / "models")

    @property
    def passed_tests(self) -> TestCache:
        """The cache of test results: in the store that the settings name, else on this machine."""
        return TestCache(*self._results)

    @property
    def untagged(self) -> UntaggedImages:
        """The list of images without a tag, in the same store."""
        return UntaggedImages(*self._results, self.registry.name)

    @property
    def duel_reports(self) -> DuelReports:
        """The reports of duels, in the same store."""
        return DuelReports(*self._results)

    @property
    def _results(self) -> tuple[BlobStore, str]:
        """The store and its folder that [results] names, else a folder on this machine."""
        storage = self.credentials.results_storage(self.settings.results, self._access)
        if storage is not None:
            return storage
        folder = configuration.state_folder() / "results"
        folder.mkdir(parents=True, exist_ok=True)
        return blob_providers.folder(folder), ""

    @property
    def _access(self) -> AzureAccess:
        wanted = self.settings.azure
        return azure_access(wanted, None if wanted.identity is None else self.azure)

    @cached_property
    def results_secret(self) -> str:
        """The secret that authenticates cached test results; `SettingsError` where there is none."""
        return self.credentials.results_secret(self.settings.results)

    @cached_property
    def registry(self) -> Registry:
        """The registry to which images are pushed."""
        wanted = self.settings.registry
        login = self.credentials.registry_login(wanted, self.settings.azure)
        platform = self.settings.app.platform
        return Registry(wanted.address, wanted.repository, login, wanted.insecure, platform)

    def base_image(self) -> Reference:
        """The base image by digest: the digest in the settings, else today's of the tag in its registry.

        Errors as of `Registry.digest`.
        """
        name = parse_image(self.settings.app.base_image)
        return name if name.pinned else resolve_base(name, self.registry)

    @cached_property
    def engine(self) -> ContainerEngine:
        """The container engine, as this run: what it starts is labelled with the run's id."""
        url = self.credentials.engine_url(self.settings.engine)
        return ContainerEngine(url, self.id, self.registry.login, self.settings.registry.push_timeout)

    def cluster(self, environment: str) -> Cluster:
        """The environment's namespace, with the credentials of the account that releases."""
        if environment not in self._clusters:
            self._clusters[environment] = self._cluster(environment)
        return self._clusters[environment]

    def releases(self, environment: str) -> Records:
        """The records of the environment's releases."""
        return Records(self.cluster(environment))

    def edge(self, environment: str) -> PublicEndpoint:
        """The environment's public URL, with its DNS server and load balancer."""
        wanted = self.settings.environment(environment)
        return PublicEndpoint(
            wanted.public_url, wanted.resolver, tuple(str(one) for one in wanted.load_balancer)
        )

    def model_manifest(self, image: Image, capsule: str) -> ModelManifest:
        """The manifest of the model in that image, which the registry keeps beside it; asked for once.

        It is in the image's own repository: that of a recorded release may be another than the settings name.
        """
        if capsule not in self._model_manifests:
            address, _, repository = image.repository.partition("/")
            theirs = replace(self.registry, repository=repository)
            holder = theirs if address == self.registry.address else self.registry
            source = f"the model's manifest beside {capsule[:12]}"
            self._model_manifests[capsule] = parse(_attached(holder, capsule), source=source)
        return self._model_manifests[capsule]

    def overlay(self, environment: str, folder: Path) -> Overlay:
        """The team's manifests for the environment, in that folder."""
        wanted = self.settings.environment(environment)
        return Overlay(folder, wanted.overlay, wanted.namespace, self.settings.app.name, wanted.replicas)

    def _cluster(self, environment: str) -> Cluster:
        wanted = self.settings.environment(environment)
        if wanted.aks is not None:
            login = aks_cluster(wanted.aks, self.azure).login()
        elif (content := self.credentials.kubeconfig(environment, wanted)) is not None:
            login = access(content, str(wanted.credentials))
        else:
            cluster = cluster_of(self.settings, environment)
            mints = wanted.login is not None or isinstance(cluster.kubeconfig, AccountAccess)
            return as_releasing(cluster) if mints else cluster
        cluster = cluster_of(self.settings, environment)
        return as_releasing(replace(cluster, kubeconfig=login, context=login.context))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Write the stage into the journal when it ends."""
        started = time.monotonic()
        outcome: Literal["done", "failed"] = "failed"
        try:
            with self.scope.entered():
                yield
            outcome = "done"
        finally:
            self.journal.append(Stage(name, time.monotonic() - started, outcome))


@contextmanager
def opened(
    run_id: str, say: Say, progress: Callable[[str], Progress], credentials: CredentialSource
) -> Iterator[RunContext]:
    """The context of a run. When it ends, its processes are ended and its workspace is deleted.

    After a kill, the next run on this machine deletes its files.
    """
    wanted = configuration.load()
    network.apply(wanted)
    private_folder(configuration.state_folder())
    for change in wanted.old_keys:
        say(f"slipway.toml: {change}")
    for name in sweep():
        say(f"Deleted {name}, which a killed process left.")
    with temporary_folder(f"run-{run_id[-12:]}") as workspace:
        run = RunContext(run_id, wanted, workspace, say, progress, credentials)
        try:
            with run.scope.entered():
                yield run
        finally:
            run.scope.cancel()


@contextmanager
def containers_removed(run: RunContext) -> Iterator[None]:
    """Remove the containers that this run started on the engine and did not remove, as after a cancel."""
    try:
        yield
    finally:
        run.engine.remove_containers()


def stage_name(stage: Callable[..., object]) -> str:
    """The stage's name in the log, in the report and in Prefect: `seal_capsule` is "seal capsule"."""
    return stage.__name__.replace("_", " ")


def _attached(holder: Registry, capsule: str) -> bytes:
    """The model's manifest beside the released branch's image, or else beside another branch's: the capsule
    covers it, so both are the same."""
    try:
        return holder.attached(Capsule(capsule).tag_for(Trust.RELEASED))
    except ImageNotFound as missing:
        try:
            return holder.attached(Capsule(capsule).tag_for(Trust.BRANCH))
        except ImageNotFound:
            raise missing from None


def _plain(model: ModelSettings) -> PlainDescription | None:
    """What slipway.toml says of model files that come without a manifest."""
    if model.plain is None:
        return None
    file = CHECKOUT / model.plain.labels
    try:
        labels = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The labels of plain models can't be read from {file}: {error}.",
            "Correct [model.plain] labels, a path in the checkout, or put the file there.",
        ) from error
    return PlainDescription(labels, model.plain.preprocessing.model_dump(), model.plain.activation)
