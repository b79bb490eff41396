"""What a worker of pytest-xdist has of the shared platform for itself: two environments, by names of its own.

Where pytest runs without workers, its process has the environments of slipway.toml as they are.
"""

import json
import os
from itertools import product

from deployments.local.instance import Instance
from deployments.local.network import dns_server
from flows.config.schema import Listener

WORKERS = 4
ENVIRONMENTS = ("production", "staging")
FIRST_NODE_PORT = 30082
"""The two below are those of the plain overlays."""


def name() -> str:
    """Of this process: gw0, gw1 …; "" for the only one."""
    return os.environ.get("PYTEST_XDIST_WORKER", "")


def namespace(environment: str) -> str:
    """The environment's, for this process: it also names its listener at the edge."""
    return f"{environment}-{name()}" if name() else environment


def node_ports() -> dict[str, int]:
    """Of every worker's environments, by namespace."""
    names = (f"{environment}-gw{number}" for number, environment in product(range(WORKERS), ENVIRONMENTS))
    return {each: FIRST_NODE_PORT + number for number, each in enumerate(names)}


def listeners(ports: list[int]) -> dict[str, Listener]:
    """The edge's, for every worker's environments, at those ports of this machine."""
    pairs = zip(node_ports().items(), ports, strict=True)
    return {each: Listener(port=port, node_port=node_port) for (each, node_port), port in pairs}


def teams_allowed(instance: Instance) -> dict[str, str]:
    """What lets the environments run the images of all teams: each test has a team and a repository."""
    allowed = json.dumps([f"localhost:{instance.ports.registry_port}/teams/*"])
    return {f"SLIPWAY_ENVIRONMENTS__{name.upper()}__ALLOWED_IMAGES": allowed for name in ENVIRONMENTS}


def variables(instance: Instance) -> dict[str, str]:
    """What makes slipway.toml's environments those of this process."""
    if not name():
        return {}
    found: dict[str, str] = {}
    for environment in ENVIRONMENTS:
        own = namespace(environment)
        url = f"http://{own}.{dns_server.DOMAIN}:{instance.ports.listeners[own].port}"
        prefix = f"SLIPWAY_ENVIRONMENTS__{environment.upper()}"
        found |= {
            f"{prefix}__NAMESPACE": own,
            f"{prefix}__CREDENTIALS": f"slipway-{own}",
            f"{prefix}__PUBLIC_URL": url,
        }
    return found
