"""One run of a flow: its settings, the outside systems it reaches with whose credentials, and its journal."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from flows.config import load as configuration
from flows.config.load import CHECKOUT, Settings
from flows.config.schema import ModelSettings
from flows.core.build.image import Image
from flows.core.errors import SettingsError
from flows.core.model.manifest import ModelManifest, parse
from flows.credentials.source import CredentialSource
from flows.services.git import commit_status
from flows.services.git.commit_status import CommitStatus
from flows.services.git.repository import Repository
from flows.services.images.container_engine import ContainerEngine
from flows.services.images.test_cache import TestCache
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.kubeconfig import context_of
from flows.services.kubernetes.manifests import Overlay
from flows.services.kubernetes.release_store import Records
from flows.services.models import blob_providers
from flows.services.models.model_store import ModelStore
from flows.services.models.plain_models import PlainDescription
from flows.services.models.transfer import Progress
from flows.services.process.cancellation import CancellationScope
from flows.services.process.command import Say
from flows.services.process.files import write_private
from flows.services.registry.client import Registry
from flows.services.verification.public_endpoint import PublicEndpoint
from flows.stages.clusters import cluster_of


@dataclass(frozen=True)
class Stage:
    """One stage that ended: what it is called, how long it took, and how it went."""

    name: str
    seconds: float
    outcome: Literal["done", "failed"]


@dataclass(frozen=True)
class RunContext:
    """What every stage is given.

    `say` writes to the run's log, `progress` shows how far a transfer of that title has come, `workspace`
    is this run's own and goes with it; so do the processes and requests of its `scope`.
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
        """What makes later runs on this machine quicker, and nothing depends on."""
        return configuration.state_folder() / "cache"

    @property
    def reports(self) -> Path:
        """Folder of what this run keeps on the machine, for a later look."""
        return configuration.state_folder() / "reports" / self.id

    @cached_property
    def repository(self) -> Repository:
        """The application's source."""
        source = self.settings.source
        is_path = "://" not in source.repository and "@" not in source.repository
        url = str((CHECKOUT / source.repository).resolve()) if is_path else source.repository
        return Repository(url, self.cache / "source", self.credentials.source_token(source))

    @cached_property
    def commit_status(self) -> CommitStatus | None:
        """The client for commit statuses; None without a token, or if the host shows none."""
        source = self.settings.source
        token = self.credentials.status_token(source)
        if token is None:
            return None
        repository = self.settings.hooks.repository or source.repository
        return commit_status.host(repository, source.status, source.status_api, token)

    @cached_property
    def models(self) -> ModelStore:
        """The store that models are published to."""
        wanted = self.settings.model
        blobs = self.credentials.blob_store(wanted)
        return ModelStore(blobs, self.cache / "models", plain=_plain(wanted))

    @cached_property
    def passed_tests(self) -> TestCache:
        """What is remembered of tests: in the settings' storage, else on this machine."""
        storage = self.credentials.results_storage(self.settings.results)
        if storage is not None:
            return TestCache(*storage)
        folder = configuration.state_folder() / "results"
        folder.mkdir(parents=True, exist_ok=True)
        return TestCache(blob_providers.folder(folder))

    @cached_property
    def registry(self) -> Registry:
        """The registry that images are pushed to."""
        wanted = self.settings.registry
        login = self.credentials.registry_credentials(wanted)
        return Registry(wanted.address, wanted.repository, login, wanted.insecure)

    @cached_property
    def engine(self) -> ContainerEngine:
        """The container engine, as this run: what it starts is labelled with the run's id."""
        url = self.credentials.engine_url(self.settings.engine)
        return ContainerEngine(url, self.id, self.registry.credentials, self.settings.registry.push_timeout)

    def cluster(self, environment: str) -> Cluster:
        """The namespace that the environment lives in, as the account that releases."""
        if environment not in self._clusters:
            self._clusters[environment] = self._cluster(environment)
        return self._clusters[environment]

    def releases(self, environment: str) -> Records:
        """The records of the environment's releases."""
        return Records(self.cluster(environment))

    def edge(self, environment: str) -> PublicEndpoint:
        """The way that the environment's users take."""
        wanted = self.settings.environment(environment)
        return PublicEndpoint(
            wanted.public_url, wanted.resolver, tuple(str(one) for one in wanted.load_balancer)
        )

    def model_manifest(self, image: Image, capsule: str) -> ModelManifest:
        """The manifest of the model in that image, as the registry keeps it beside it; asked for once.

        It is where the image is: a recorded release may be of another repository than the settings name now.
        """
        if capsule not in self._model_manifests:
            address, _, repository = image.repository.partition("/")
            theirs = replace(self.registry, repository=repository)
            holder = theirs if address == self.registry.address else self.registry
            source = f"the model's manifest beside {capsule[:12]}"
            self._model_manifests[capsule] = parse(holder.attached(capsule), source=source)
        return self._model_manifests[capsule]

    def overlay(self, environment: str) -> Overlay:
        """The team's manifests for the environment."""
        wanted = self.settings.environment(environment)
        folder = CHECKOUT / self.settings.app.manifests
        return Overlay(folder, wanted.overlay, wanted.namespace, self.settings.app.name, wanted.replicas)

    def _cluster(self, environment: str) -> Cluster:
        wanted = self.settings.environment(environment)
        cluster = cluster_of(self.settings, environment)
        content = self.credentials.kubeconfig(environment, wanted)
        if content is None:
            return cluster
        kubeconfig = self.workspace / f"{environment}.kubeconfig"
        write_private(kubeconfig, content)
        return replace(cluster, kubeconfig=kubeconfig, context=context_of(content, str(wanted.credentials)))

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
    """A run that leaves nothing behind, however it ends: no process, no container, no file."""
    wanted, workspace = configuration.load(), Path(mkdtemp(prefix=f"slipway-{run_id[-12:]}-"))
    run = RunContext(run_id, wanted, workspace, say, progress, credentials)
    try:
        with run.scope.entered():
            yield run
    finally:
        run.scope.cancel()
        shutil.rmtree(run.workspace, ignore_errors=True)


@contextmanager
def containers_removed(run: RunContext) -> Iterator[None]:
    """Remove what this run started on the engine and did not get to remove, as after a cancel."""
    try:
        yield
    finally:
        run.engine.remove_containers()


def stage_name(stage: Callable[..., object]) -> str:
    """How the log, the report and Prefect name a stage: `seal_capsule` is "seal capsule"."""
    return stage.__name__.replace("_", " ")


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
