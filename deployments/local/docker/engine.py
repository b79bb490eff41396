"""The containers, network and volumes of one platform on the machine's docker daemon.

Every function can be called again at any time. It leaves a container alone that runs as described, starts one
that stopped, and replaces one that differs or that another checkout left under the same name.

This is not Docker Compose, because Debian 12 has no plugin for it: its docker-compose 1.29 is the old one in
Python, which needs other versions of docker and PyYAML than the flows. A container's mounted files also count
here, and the parts come up in an order that only code knows: some need a secret or an image that another part
has made.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Literal

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container as DockerContainer
from docker.models.networks import Network
from docker.models.volumes import Volume
from docker.types import EndpointConfig, LogConfig, Mount

from deployments.local.instance import Instance
from flows.core.errors import EngineUnavailable, PlatformFailed, SettingsError

SPECIFICATION = "slipway.specification"
"""Label of a container: the hash of everything it was made from."""

LOG = LogConfig(type=LogConfig.types.JSON, config={"max-size": "10m", "max-file": "3"})
"""What docker keeps of a container's output: by default, it keeps all."""

STOP_TIMEOUT = 10
"""Seconds between SIGTERM and SIGKILL: Azurite needs some to write its index."""


@dataclass(frozen=True)
class Container:
    """What a container of the platform is made from; with any change it is replaced.

    `volumes` and `read_only_volumes` are named by role and survive the container. `mounts` (read-only) and
    `writable_mounts` are paths of the machine, `ports` (TCP) and `udp_ports` map the container's to one on
    127.0.0.1. What is inside a mount is not compared: a digest of it in `environment` makes it count. Docker
    starts a container that `restarts` again when it ends, unless it was stopped.
    """

    role: str
    image: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    read_only_volumes: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    writable_mounts: Mapping[str, str] = field(default_factory=dict)
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    udp_ports: Mapping[int, int] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    hostname: str | None = None
    capabilities: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()
    cgroup_namespace: Literal["private"] | None = None
    devices: tuple[str, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    restarts: bool = False


def connect() -> docker.DockerClient:
    """The machine's docker daemon, or the one that DOCKER_HOST names; `EngineUnavailable` if none answers."""
    try:
        return docker.from_env(timeout=60)  # asks for the daemon's version
    except DockerException as error:
        raise EngineUnavailable(
            f"The docker daemon does not answer: {error}.",
            "Start it (service docker start), or let this user into the group `docker`.",
        ) from error


def ensure_network(client: docker.DockerClient, instance: Instance) -> Network:
    """The network of the platform; another checkout that used the name before is moved out of it."""
    for container in _containers(client, instance):
        if not _is_ours(container.labels, instance):
            _remove(container)
    for network in client.networks.list(names=[instance.network]):  # a search: matches parts of names too
        if network.name != instance.network:
            continue
        labels = network.attrs["Labels"] or {}
        if _is_ours(labels, instance):
            return network
        _require_platform(f"network {instance.network}", labels)
        _remove_network(network)
    return client.networks.create(instance.network, driver="bridge", labels=instance.labels)


def ensure_container(client: docker.DockerClient, instance: Instance, spec: Container) -> DockerContainer:
    """The running container that plays `spec.role`; `PlatformFailed` if it won't start.

    Call `ensure_network` once before bringing up several side by side.
    """
    network = ensure_network(client, instance)
    labels = instance.labels | {SPECIFICATION: _digest(instance, spec, network)}
    found = find_container(client, instance, spec.role)
    if found is not None and found.labels.get(SPECIFICATION) != labels[SPECIFICATION]:
        _require_platform(f"container {found.name}", found.labels)
        _remove(found)
        found = None
    try:
        container = found or _create(client, instance, spec, labels)
        if container.status != "running":
            container.start()
    except APIError as error:
        raise PlatformFailed(
            f"The container {instance.container(spec.role)} does not start: {error.explanation or error}.",
            "If a port is taken, free it or choose another under [embedded] in slipway.toml.",
        ) from error
    return container


def find_container(client: docker.DockerClient, instance: Instance, role: str) -> DockerContainer | None:
    """The container of that role, running or not."""
    try:
        return client.containers.get(instance.container(role))
    except NotFound:
        return None


def list_containers(client: docker.DockerClient, instance: Instance) -> list[DockerContainer]:
    """The containers of this checkout's platform, running or not."""
    return [container for container in _containers(client, instance) if _is_ours(container.labels, instance)]


def remove_containers(client: docker.DockerClient, instance: Instance) -> None:
    """Stop and remove the containers of this checkout's platform, all at once; volumes stay."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(_stop_and_remove, list_containers(client, instance)))


def remove_all(client: docker.DockerClient, instance: Instance) -> None:
    """Remove containers, network and volumes of this checkout's platform, with all its data."""
    remove_containers(client, instance)
    for network in client.networks.list(filters={"label": _label_filter(instance)}):
        _remove_network(network)
    volumes = client.volumes.list(filters={"label": _label_filter(instance)})
    with ThreadPoolExecutor() as pool:
        list(pool.map(_remove_volume, volumes))


def _create(
    client: docker.DockerClient, instance: Instance, spec: Container, labels: dict[str, str]
) -> DockerContainer:
    endpoint = EndpointConfig(client.api.api_version, aliases=[*spec.aliases, spec.role])
    return client.containers.create(
        spec.image,
        list(spec.command) or None,
        name=instance.container(spec.role),
        hostname=spec.hostname or spec.role,
        labels=labels,
        environment=dict(spec.environment),
        mounts=_mounts(instance, spec),
        tmpfs=dict(spec.tmpfs),
        ports={
            f"{inside}/{protocol}": ("127.0.0.1", outside)
            for protocol, published in (("tcp", spec.ports), ("udp", spec.udp_ports))
            for inside, outside in published.items()
        },
        network=instance.network,
        networking_config={instance.network: endpoint},
        cgroupns=spec.cgroup_namespace,
        cap_add=list(spec.capabilities),
        security_opt=list(spec.security_options),
        devices=list(spec.devices),
        device_cgroup_rules=list(spec.device_cgroup_rules),
        restart_policy={"Name": "always"} if spec.restarts else None,
        log_config=LOG,
    )


def _mounts(instance: Instance, spec: Container) -> list[Mount]:
    return [
        *(
            Mount(path, instance.volume(role), type="volume", labels=instance.labels, read_only=read_only)
            for volumes, read_only in ((spec.volumes, False), (spec.read_only_volumes, True))
            for role, path in volumes.items()
        ),
        *(Mount(path, source, type="bind", read_only=True) for source, path in spec.mounts.items()),
        *(Mount(path, source, type="bind") for source, path in spec.writable_mounts.items()),
    ]


def _digest(instance: Instance, spec: Container, network: Network) -> str:
    """Changes with the specification, the checkout, and the network, which a container can't outlive."""
    made_from = [asdict(spec), instance.labels, network.id, LOG]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def _containers(client: docker.DockerClient, instance: Instance) -> list[DockerContainer]:
    mine = [f"slipway.instance={instance.name}"]
    return client.containers.list(all=True, filters={"label": mine}, ignore_removed=True)


def _is_ours(labels: Mapping[str, str], instance: Instance) -> bool:
    return instance.labels.items() <= labels.items()


def _label_filter(instance: Instance) -> list[str]:
    return [f"{key}={value}" for key, value in instance.labels.items()]


def _require_platform(what: str, labels: Mapping[str, str]) -> None:
    if "slipway.instance" not in labels:
        raise SettingsError(
            f"The {what} exists and is not Slipway's.",
            "Remove it, or choose another name under [embedded] in slipway.toml.",
        )


def _stop_and_remove(container: DockerContainer) -> None:
    with suppress(NotFound):  # another process removed it meanwhile
        container.stop(timeout=STOP_TIMEOUT)
        _remove(container)


def _remove(container: DockerContainer) -> None:
    """It is gone afterwards, also where another process is just removing it."""
    with suppress(NotFound):
        try:
            container.remove(force=True, v=True)
        except APIError as refusal:
            if refusal.status_code != HTTPStatus.CONFLICT:
                raise
            container.wait(condition="removed", timeout=STOP_TIMEOUT)


def _remove_volume(volume: Volume) -> None:
    with suppress(NotFound):  # another process removed it meanwhile
        volume.remove(force=True)


def _remove_network(network: Network) -> None:
    with suppress(NotFound):  # another process removed it meanwhile
        network.reload()
        for container in network.attrs.get("Containers") or {}:
            network.disconnect(container, force=True)
        network.remove()
