"""Networks of a run's containers: no way leads out of them, and they are labelled as the containers are."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from uuid import uuid4

import docker
from docker.errors import NotFound
from docker.models.networks import Network

NO_NAMES: Mapping[str, list[str]] = {"dns": ["127.0.0.1"], "dns_opt": ["timeout:1", "attempts:1"]}
"""Options of a container in such a network: no DNS server answers at its own loopback.

Engines before 25 would otherwise ask the machine's DNS server for names.
"""


@contextmanager
def internal_network(client: docker.DockerClient, role: str, label: str, run: str) -> Iterator[Network]:
    """A bridge whose containers reach one another and this machine's address on it, removed at the end."""
    network = client.networks.create(
        f"slipway-{role}-{uuid4().hex[:12]}", driver="bridge", internal=True, labels={label: run}
    )
    try:
        yield network
    finally:
        with suppress(NotFound):
            network.remove()


def remove_networks(client: docker.DockerClient, label: str, run: str) -> None:
    """Remove the networks that are left of a run whose containers are gone."""
    for network in client.networks.list(filters={"label": f"{label}={run}"}):
        with suppress(NotFound):
            network.remove()


def runs_with_networks(client: docker.DockerClient, label: str) -> set[str]:
    """The ids of the runs that have networks on this engine."""
    return {str(network.attrs["Labels"][label]) for network in client.networks.list(filters={"label": label})}
