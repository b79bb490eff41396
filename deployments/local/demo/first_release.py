"""What `make run` starts on the platform: the newest commit and model are built and released.

Each part is a flow run through the server and the worker, as operators start it.
"""

from concurrent.futures import Future
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from deployments.local.cluster import preparation
from deployments.local.demo import digits, sample_model
from deployments.local.instance import Instance
from deployments.local.platform import Parts
from deployments.local.prefect import blocks, flow_runs, triggers
from deployments.local.progress import Say, Steps
from deployments.local.stores import blob_store
from deployments.local.stores.blob_store import BlobStoreAccess
from deployments.local.stores.registry import RegistryAccess
from deployments.prefect.api import PrefectApi
from flows.config.load import EVERY, Settings, load
from flows.services.prefect.client import FlowRun

SAMPLE_VERSION = "1.0.0"


@dataclass(frozen=True)
class BuildAndRelease:
    """The flow runs of one `make run`, and what they need first: a model, and prepared namespaces."""

    steps: Steps
    instance: Instance
    settings: Settings

    def start(self, parts: Parts) -> tuple[Future[FlowRun], Future[FlowRun]]:
        """The runs of ci and release; what they wait for is in `parts`."""
        model = self.steps.start(
            "A model to pack", self._ensure_model, parts.server, parts.store, parts.ready_for_runs
        )
        image = self.steps.start("Flow run ci/commit", self._build, parts.server, model)
        prepared = self.prepare(parts)
        release = self.steps.start("Flow run release/on-demand", self._release, parts.server, image, prepared)
        return image, release

    def prepare(self, parts: Parts) -> Future[None]:
        """The environments' namespaces, with what a release needs there: an administrator's part."""
        return self.steps.start(
            "Namespace and pull secret", self._prepare, parts.registry, parts.kubeconfig, parts.ready_for_runs
        )

    def _ensure_model(self, api: PrefectApi, store: BlobStoreAccess, _ready: None, say: Say) -> None:
        """Publish the sample model to the platform's own store, if that has no model."""
        name = load().model.name  # with the sample that was chosen
        if not blocks.uses_own_store(api, self.settings):
            return
        if blob_store.holds_model(store, self.settings.model.address.container, name):
            return
        if name == digits.NAME:
            folder = digits.model(SAMPLE_VERSION)
            golden = digits.write_golden_set(self.instance.state / "golden-sets" / name)
            asked = {"folder": str(golden), "name": name}
            flow_runs.run(api, "publish-evaluation/on-demand", asked, say)
        else:
            say("making the sample model from published weights")
            folder = sample_model.make(SAMPLE_VERSION, self.instance.state / "models", say)
        parameters = {"file": str(folder), "name": name, "version": SAMPLE_VERSION}
        flow_runs.run(api, "publish-model/on-demand", parameters, say)

    def _build(self, api: PrefectApi, _model: None, say: Say) -> FlowRun:
        """The poller, which would start the same run, is stopped meanwhile."""
        triggers.stop_poller(self.instance)
        try:
            return flow_runs.run(api, "ci/commit", {}, say)
        finally:
            triggers.start_poller(self.instance)

    def _prepare(
        self, registry: RegistryAccess | None, kubeconfig: Path | None, _ready: None, say: Say
    ) -> None:
        if kubeconfig is not None:
            preparation.ensure(self.instance, self.settings, kubeconfig, registry, say)

    def _release(self, api: PrefectApi, _image: FlowRun, _prepared: None, say: Say) -> FlowRun:
        asked = {"reason": "make run", "by": getuser()}
        parameters = {"environment": EVERY, "image": "latest", **asked}
        return flow_runs.run(api, "release/on-demand", parameters, say)
