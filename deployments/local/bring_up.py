"""The whole platform, brought up or repaired: what depends on what, all else side by side."""

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from deployments.local import (
    blob_store,
    blocks,
    cluster,
    docker_daemon,
    images,
    kubernetes_binary,
    platform_file,
    prefect_server,
    preflight,
    registration,
    registry,
)
from deployments.local.blob_store import BlobStoreAccess
from deployments.local.engine import connect, ensure_network
from deployments.local.instance import Instance
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect_api import PrefectApi
from deployments.local.progress import Say, Steps
from deployments.local.registry import RegistryAccess


@dataclass(frozen=True)
class Parts:
    """The platform's parts, each as soon as it is there; `kubeconfig` and `registry` None if not its own."""

    server: Future[PrefectApi]
    registry: Future[RegistryAccess | None]
    store: Future[BlobStoreAccess]
    kubeconfig: Future[Path | None]
    ready_for_runs: Future[None]
    """Flows can run: their blocks, deployments and settings are there; what they release to may not be."""


def start(steps: Steps, client: docker.DockerClient, instance: Instance, settings: WrittenSettings) -> Parts:
    """Begin with everything, and say what will be there when."""
    server = steps.start("Prefect server and worker", prefect_server.up, instance)
    azurite = steps.start("Image of the blob store", images.ensure, client, "azurite")
    store = steps.start("Blob store", blob_store.up, client, instance, azurite, settings.model.container)
    registry_access = start_registry(steps, client, instance, settings)
    kubeconfig = start_cluster(steps, client, instance, settings)
    connected = steps.start(
        "Blocks and deployments", _connect, instance, settings, server, registry_access, store
    )
    return Parts(server, registry_access, store, kubeconfig, connected)


def start_registry(
    steps: Steps, client: docker.DockerClient, instance: Instance, settings: WrittenSettings
) -> Future[RegistryAccess | None]:
    """Begin with the registry and the base image in it, if images go there."""
    if not platform_file.wants_registry(settings):
        return _nothing()
    image = steps.start("Image of the registry", images.ensure, client, "registry")
    base = steps.start("Base image", images.ensure, client, "base")
    access = steps.start("Registry", registry.up, client, instance, image)
    return steps.start("Base image in the registry", _offer_base, client, settings, base, access)


def start_cluster(
    steps: Steps, client: docker.DockerClient, instance: Instance, settings: WrittenSettings
) -> Future[Path | None]:
    """Begin with the cluster, if an environment lives on it."""
    if not settings.wants_embedded_cluster:
        return _nothing()
    binary = steps.start("Kubernetes binary", kubernetes_binary.ensure)
    node = steps.start("Image of a Kubernetes node", images.ensure, client, "node")
    return steps.start("Kubernetes", _up_cluster, client, instance, settings, binary, node)


def _offer_base(
    client: docker.DockerClient, settings: WrittenSettings, base: str, access: RegistryAccess, say: Say
) -> RegistryAccess:
    reference = registry.push_base(client, base, access, say)
    platform_file.add_registry(settings, access.address, reference)
    return access


def _up_cluster(
    client: docker.DockerClient,
    instance: Instance,
    settings: WrittenSettings,
    binary: Path,
    node_image: str,
    say: Say,
) -> Path:
    kubeconfig = cluster.up(client, instance, binary, node_image, say)
    platform_file.add_cluster(settings, instance, kubeconfig, binary)
    return kubeconfig


def _connect(
    instance: Instance,
    settings: WrittenSettings,
    api: PrefectApi,
    access: RegistryAccess | None,
    store: BlobStoreAccess,
    say: Say,
) -> None:
    blocks.ensure(instance, api, blocks.wanted(settings, access, store), say)
    registration.ensure(instance, settings, api, say)
    platform_file.write_command_line(instance)


def _nothing() -> Future[Any]:
    """The result of a part that this platform has not."""
    nothing: Future[Any] = Future()
    nothing.set_result(None)
    return nothing


def prepare(instance: Instance, settings: WrittenSettings, say: Say) -> docker.DockerClient:
    """The docker daemon, once nothing stands in the way of the platform any more."""
    preflight.check(instance, _ports(settings), kubernetes_binary.cache_folder())
    docker_daemon.ensure(say)
    platform_file.forget_stale(settings)
    client = connect()
    ensure_network(client, instance)
    return client


def _ports(settings: WrittenSettings) -> list[str]:
    ports = ["prefect_port", "blob_store_port"]
    if platform_file.wants_registry(settings):
        ports.append("registry_port")
    if settings.wants_embedded_cluster:
        ports += ["kubernetes_port", "app_port"]
    return ports
