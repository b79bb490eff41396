"""What would stop the platform, found before anything starts, each with its remedy."""

import shutil
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
from docker.models.containers import Container as DockerContainer

from deployments.local.docker import daemon
from deployments.local.docker.engine import connect
from deployments.local.instance import Instance
from deployments.local.processes import belonging_to, listening_ports
from flows.config.schema import Embedded
from flows.core.errors import EngineUnavailable, PlatformFailed

DISK_NEEDED = 10 * 1000**3
"""Bytes: Kubernetes and its modules take four, images and their layers as much again."""


def check(instance: Instance, ports: Iterable[str], cache: Path) -> None:
    """Raise `PlatformFailed` with everything that has to be put right first.

    `ports` names those keys of [embedded] that will be listened on; `cache` is where built programs are kept.
    """
    problems = [*_docker(), *_ports(instance, ports), *_disk(cache)]
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        remedy = "\nCorrect this, then run it again. Nothing was started."
        raise PlatformFailed(f"The platform can't start yet:\n{listed}", remedy)


def is_taken(port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Whether a program listens on 127.0.0.1 at that port, by TCP or what `kind` says."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _docker() -> Iterator[str]:
    if obstacle := daemon.obstacle():
        yield obstacle


def _ports(instance: Instance, settings: Iterable[str]) -> Iterator[str]:
    containers = _running_containers()
    own = {port for process in belonging_to(instance.name) for port in listening_ports(process.pid)}
    for setting in settings:
        port = _port(instance.ports, setting)
        publisher = next((c for c in containers if port in _published(c)), None)
        if publisher is not None and publisher.labels.get("slipway.instance") == instance.name:
            continue
        if port not in own and any(is_taken(port, kind) for kind in _kinds(setting)):
            user = f"container {publisher.name}" if publisher else _listener(port)
            yield (
                f"Port {port} on 127.0.0.1 is in use by {user}. End that, "
                f"or choose another port at [embedded] {setting} in slipway.toml."
            )


def _port(ports: Embedded, setting: str) -> int:
    """The value of a key of [embedded], such as `app_port` or `listeners.demo.port`."""
    _, _, rest = setting.partition(".")
    if not rest:
        return int(getattr(ports, setting))
    return ports.listeners[rest.removesuffix(".port")].port


def _kinds(setting: str) -> tuple[socket.SocketKind, ...]:
    """What listens at that port: a DNS server answers by UDP as well."""
    return (socket.SOCK_STREAM, socket.SOCK_DGRAM) if setting == "dns_port" else (socket.SOCK_STREAM,)


def _running_containers() -> list[DockerContainer]:
    try:
        return connect().containers.list(ignore_removed=True)
    except EngineUnavailable:
        return []


def _published(container: DockerContainer) -> set[int]:
    bindings = container.attrs["HostConfig"]["PortBindings"] or {}
    return {int(b["HostPort"]) for published in bindings.values() for b in published or () if b["HostPort"]}


def _listener(port: int) -> str:
    for process in psutil.process_iter():
        if port in listening_ports(process.pid):
            return f"{process.name()} (process {process.pid})"
    return "another user's process"  # only root sees those


def _disk(cache: Path) -> Iterator[str]:
    places = {"docker's data": daemon.data_folder(), "the cache of built programs": cache}
    checked: set[int] = set()
    for purpose, folder in places.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        device, free = existing.stat().st_dev, shutil.disk_usage(existing).free
        if free < DISK_NEEDED and device not in checked:
            yield (
                f"Only {free / 1000**3:.1f} GB are free where {purpose} is kept ({folder}), and "
                f"{DISK_NEEDED // 1000**3} GB are needed. Free some: `docker system prune` may help."
            )
        checked.add(device)
