"""Delete test platforms whose checkout is gone: no command of theirs is left to do it."""

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
    """End and delete every test platform that was made for a folder that no longer exists."""
    terminate([process for process, variables in marked() if _is_abandoned(variables)])
    known = {(found.name, found.checkout): found for found in _instances(client)}
    for instance in known.values():
        if instance.name.startswith(PREFIX) and not instance.checkout.exists():
            engine.remove_all(client, instance)


def _is_abandoned(variables: Mapping[str, str]) -> bool:
    state = variables.get("SLIPWAY_STATE")
    return variables[MARK].startswith(PREFIX) and state is not None and not Path(state).parent.exists()


def _instances(client: docker.DockerClient) -> Iterator[Instance]:
    """The platforms of which Docker still has a container, a volume or a network; some several times."""
    ours: dict[str, str | list[str] | bool] = {"label": "slipway.instance"}
    for labels in (
        *(
            container.labels
            for container in client.containers.list(all=True, filters=ours, ignore_removed=True)
        ),
        *(volume.attrs["Labels"] for volume in client.volumes.list(filters=ours)),
        *(network.attrs["Labels"] for network in client.networks.list(filters=ours)),
    ):
        checkout = Path(labels["slipway.checkout"])
        yield Instance(labels["slipway.instance"], checkout, checkout / ".slipway-test", Embedded())
