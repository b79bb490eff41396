"""The cluster of an environment, as the settings name it; without a run, and so without Prefect."""

from pathlib import Path

from flows.config.load import EMBEDDED, Settings, state_folder
from flows.config.schema import Aks
from flows.services.azure.aks import AksCluster
from flows.services.azure.identity import AzureIdentity
from flows.services.kubernetes import in_pod
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.kubeconfig import AccountAccess


def cluster_of(settings: Settings, environment: str) -> Cluster:
    """The environment's namespace as `context` leads to it; the embedded platform's kubeconfig is in the
    state folder."""
    wanted = settings.environment(environment)
    kubeconfig: Path | AccountAccess | None = wanted.kubeconfig
    if kubeconfig is None and wanted.context == EMBEDDED:
        kubeconfig = state_folder() / "kubeconfig"
    elif kubeconfig is None and wanted.context == in_pod.CONTEXT:
        kubeconfig = in_pod.account()
    return Cluster(
        kubeconfig,
        wanted.context or (wanted.aks.cluster if wanted.aks else ""),
        wanted.namespace,
        settings.app.name,
        lease_duration=settings.runs.lease,
        api_timeout=settings.runs.api_timeout,
    )


def aks_cluster(aks: Aks, identity: AzureIdentity) -> AksCluster:
    """The cluster that a table `aks` names, as that identity sees it."""
    return AksCluster(identity, aks.subscription, aks.resource_group, aks.cluster)
