"""Test platforms whose checkout is gone: nobody else can end them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import docker

from deployments.local.docker import engine
from deployments.local.instance import Instance
from deployments.local.processes import MARK, marked, terminate
from flows.config.schema import Embedded

PREFIX = "slipway-test-"
"""Begins the name of every platform that tests make."""


def remove_abandoned_tests(client: docker.DockerClient) -> None:
    """End and delete every test platform that was made for a folder that exists no more."""
    terminate([process for process, variables in marked() if _is_abandoned(variables)])
    for instance in {*_instances(client)}:
        if instance.name.startswith(PREFIX) and not instance.checkout.exists():
            engine.remove_all(client, instance)


def _is_abandoned(variables: Mapping[str, str]) -> bool:
    state = variables.get("SLIPWAY_STATE")
    return variables[MARK].startswith(PREFIX) and state is not None and not Path(state).parent.exists()


def _instances(client: docker.DockerClient) -> Iterator[Instance]:
    """Whatever docker still has something of."""
    ours: dict[str, str | list[str] | bool] = {"label": "slipway.instance"}
    for labels in (
        *(container.labels for container in client.containers.list(all=True, filters=ours)),
        *(volume.attrs["Labels"] for volume in client.volumes.list(filters=ours)),
        *(network.attrs["Labels"] for network in client.networks.list(filters=ours)),
    ):
        checkout = Path(labels["slipway.checkout"])
        yield Instance(labels["slipway.instance"], checkout, checkout / ".slipway-test", Embedded())
