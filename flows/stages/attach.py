"""Whether the nodes of an environment's cluster pull what `latest` names; for an administrator."""

from dataclasses import replace

from flows.core.build.image import Image
from flows.services.kubernetes import attach
from flows.services.kubernetes.cluster import Cluster
from flows.stages.clusters import aks_cluster, cluster_of
from flows.stages.context import RunContext


def administrators_cluster(run: RunContext, environment: str) -> Cluster:
    """The environment's namespace as `context` leads to it, or else its AKS cluster as the identity of
    [azure]."""
    cluster, wanted = cluster_of(run.settings, environment), run.settings.environment(environment)
    if wanted.aks is None or wanted.context is not None:
        return cluster
    login = aks_cluster(wanted.aks, run.azure).login()
    return replace(cluster, kubeconfig=login, context=login.context)


def try_pull(
    run: RunContext,
    environment: str,
    cluster: Cluster,
    *,
    secret: str | None = None,
    patience: float = attach.PATIENCE,
) -> Image | None:
    """The image that a node has pulled, with that pull secret or else by an identity of its own; None where
    `latest` names none yet. Errors as of `attach`."""
    aks = run.settings.environment(environment).aks
    pointer = run.registry.pointer()
    if pointer is None:
        return None
    image = Image(run.registry.name, pointer.digest)
    puller = (lambda: aks_cluster(aks, run.azure).kubelet()) if aks else None
    attach.attach(
        cluster.api, cluster.namespace, image, secret=secret, puller=puller, say=run.say, patience=patience
    )
    return image
