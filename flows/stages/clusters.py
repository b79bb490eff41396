"""The cluster of an environment, as the settings name it; apart, as it needs nothing of a run."""

from flows.config.load import EMBEDDED, Settings, state_folder
from flows.services.kubernetes.cluster import Cluster


def cluster_of(settings: Settings, environment: str) -> Cluster:
    """The namespace that the environment lives in; the embedded kubeconfig is the state folder's."""
    wanted = settings.environment(environment)
    kubeconfig = wanted.kubeconfig
    if kubeconfig is None and wanted.context == EMBEDDED:
        kubeconfig = state_folder() / "kubeconfig"
    return Cluster(
        kubeconfig,
        wanted.context,
        wanted.namespace,
        settings.app.name,
        lease_duration=settings.runs.lease,
        api_timeout=settings.runs.api_timeout,
    )
