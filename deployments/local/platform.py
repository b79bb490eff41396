"""The whole platform, brought up or repaired: what depends on what, all else side by side."""

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from deployments.local import platform_file, preflight
from deployments.local.cluster import cluster, kubernetes_binary
from deployments.local.commands.cleanup import remove_abandoned_tests
from deployments.local.docker import daemon, images, metadata
from deployments.local.docker.engine import connect, ensure_network
from deployments.local.instance import Instance
from deployments.local.network import dns_server, edge
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import automations, blocks, carry_over, deployments, server, triggers
from deployments.local.prefect.carry_over import OldPlatform
from deployments.local.progress import Say, Steps
from deployments.local.stores import blob_store, database, registry
from deployments.local.stores.blob_store import BlobStoreAccess
from deployments.local.stores.database import DatabaseAccess
from deployments.local.stores.registry import RegistryAccess
from deployments.prefect.api import PrefectApi


@dataclass(frozen=True)
class Parts:
    """The platform's parts, each as soon as it is there; `kubeconfig` and `registry` None if not its own."""

    server: Future[PrefectApi]
    registry: Future[RegistryAccess | None]
    store: Future[BlobStoreAccess]
    kubeconfig: Future[Path | None]
    ready_for_runs: Future[None]
    """Flows can run: their blocks, deployments and settings are there; what they release to may not be."""


@dataclass(frozen=True)
class BringUp:
    """Brings up parts of one platform; each method begins with one, and returns its future."""

    steps: Steps
    client: docker.DockerClient
    instance: Instance
    settings: WrittenSettings

    def everything(self) -> Parts:
        """Begin with all parts, as far as slipway.toml wants them."""
        server, registry_access, store = self.server(), self.registry(), self.store()
        old = self.old_platform(server)
        blocks_saved = self.steps.start(
            "Prefect blocks", self._save_blocks, server, registry_access, store, old
        )
        registered = self.steps.start("Prefect deployments", self._register, server, old)
        ready = self.steps.start("prefect.toml", self._connect, blocks_saved, registered)
        self.steps.start("Receiver of webhooks", self._receive, blocks_saved, registered)
        automated = self.steps.start("Prefect automations", self._automate, blocks_saved, registered)
        if carry_over.is_due(self.instance):
            self.steps.start("Switches from SQLite", self._switch, server, old, registered, automated)
        return Parts(server, registry_access, store, self.cluster(), ready)

    def ingredients(self) -> None:
        """Begin with what is built once per machine."""
        for role in (images.NODE, images.REGISTRY, images.AZURITE, images.DATABASE, images.EDGE, images.DNS):
            self._image(role)
        self._kubernetes()

    def server(self) -> Future[PrefectApi]:
        """Prefect's server on its database, and a worker."""
        return self.steps.start("Prefect server and worker", server.up, self.instance, self.database())

    def old_platform(self, server: Future[PrefectApi]) -> Future[OldPlatform | None]:
        """What was on SQLite, with its blocks and variables on the new server; None where nothing was."""
        if not carry_over.is_due(self.instance):
            return _nothing()
        return self.steps.start("Values from SQLite", self._carry_over, server)

    def database(self) -> Future[DatabaseAccess]:
        """The database of Prefect's server."""
        image = self._image("database")
        return self.steps.start("Database", database.up, self.client, self.instance, image)

    def store(self) -> Future[BlobStoreAccess]:
        """The blob store, with the containers for models and test results."""
        image, wanted = self._image("azurite"), blob_store.containers(self.settings)
        return self.steps.start("Blob store", blob_store.up, self.client, self.instance, image, wanted)

    def registry(self) -> Future[RegistryAccess | None]:
        """The registry with the base image in it, if images go there."""
        if not platform_file.wants_registry(self.settings):
            return _nothing()
        image, base = self._image("registry"), self._image("base")
        access = self.steps.start("Registry", registry.up, self.client, self.instance, image)
        return self.steps.start("Base image in the registry", self._offer_base, base, access)

    def cluster(self) -> Future[Path | None]:
        """The cluster and what makes it reachable by name, if an environment lives on it."""
        if not self.settings.wants_embedded_cluster:
            return _nothing()
        binary, image = self._kubernetes(), self._image("node")
        nodes = self.steps.start("Kubernetes cluster", cluster.up, self.client, self.instance, binary, image)
        names = self.steps.start("DNS server", dns_server.up, self.client, self.instance, self._image("dns"))
        return self.steps.start("Edge", self._up_edge, self._image("edge"), binary, nodes, names)

    def _kubernetes(self) -> Future[Path]:
        return self.steps.start("Kubernetes' program", kubernetes_binary.ensure)

    def _image(self, role: str) -> Future[str]:
        return self.steps.start(f"Image: {role}", images.ensure, self.client, role)

    def _offer_base(self, base: str, access: RegistryAccess, say: Say) -> RegistryAccess:
        reference = registry.push_base(self.client, base, access, say)
        found = self.client.images.get(base).attrs
        platform = f"{found['Os']}/{found['Architecture']}"  # this machine's, as its cluster's
        platform_file.add_registry(self.instance, self.settings, access.address, reference, platform)
        return access

    def _up_edge(self, image: str, binary: Path, kubeconfig: Path, _names: str, say: Say) -> Path:
        edge.up(self.client, self.instance, image, self.settings, say)
        platform_file.add_cluster(self.instance, self.settings, kubeconfig, kubernetes_binary.kubectl(binary))
        return kubeconfig

    def _carry_over(self, api: PrefectApi, say: Say) -> OldPlatform:
        old = carry_over.read(self.instance, say)
        carry_over.put_values(old, api, say)
        return old

    def _switch(
        self, api: PrefectApi, old: OldPlatform, _registered: bool, _automated: None, say: Say
    ) -> None:
        carry_over.put_switches(old, api, say)
        carry_over.finish(self.instance, old, say)

    def _register(self, api: PrefectApi, _old: OldPlatform | None, say: Say) -> bool:
        return deployments.ensure(self.instance, self.settings, api, say)

    def _save_blocks(
        self,
        api: PrefectApi,
        access: RegistryAccess | None,
        store: BlobStoreAccess,
        _old: OldPlatform | None,
        say: Say,
    ) -> None:
        blocks.ensure(self.instance, api, blocks.wanted(self.settings, access, store), say)

    def _receive(self, _blocks: None, flows_changed: bool, _say: Say) -> None:
        triggers.receive(self.instance, restart=flows_changed)

    def _automate(self, _blocks: None, _registered: bool, say: Say) -> None:
        automations.ensure(self.instance, say)

    def _connect(self, _blocks: None, _registered: bool, _say: Say) -> None:
        platform_file.write_command_line(self.instance)


def _nothing() -> Future[Any]:
    """The result of a part that this platform does not have."""
    nothing: Future[Any] = Future()
    nothing.set_result(None)
    return nothing


def prepare(instance: Instance, settings: WrittenSettings, say: Say) -> docker.DockerClient:
    """The docker daemon, once nothing stands in the way of the platform any more."""
    client = prepare_to_build(instance, _ports(settings), say)
    remove_abandoned_tests(client)
    platform_file.forget_stale(instance, settings)
    ensure_network(client, instance)
    return client


def prepare_to_build(instance: Instance, ports: list[str], say: Say) -> docker.DockerClient:
    """The docker daemon, once there is room, and those ports of [embedded] are free."""
    preflight.check(instance, ports, kubernetes_binary.cache_folder())
    daemon.ensure(say)
    metadata.ensure(say)
    return connect()


def _ports(settings: WrittenSettings) -> list[str]:
    ports = ["prefect_port", "database_port", "blob_store_port", "hooks_port"]
    if platform_file.wants_registry(settings):
        ports += ["registry_port", "registry_pull_port"]
    if settings.wants_embedded_cluster:
        ports += ["kubernetes_port", "dns_port", *(edge.port_setting(name) for name in edge.served(settings))]
    return ports
