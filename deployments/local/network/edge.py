"""What users of the embedded platform meet: haproxy before both nodes, as a cloud's load balancer would be.

It serves the environments that its recipe has a listener for, each at a port of this machine.
"""

from functools import partial

import docker
import httpx

from deployments.local.docker.engine import Container, ensure_container
from deployments.local.instance import Instance
from deployments.local.network import dns_server
from deployments.local.progress import Say
from deployments.local.wait import wait_until
from flows.config.load import EMBEDDED, Settings
from flows.core.errors import SettingsError

ROLE = "edge"
LISTENERS = {"staging": 8081, "production": 8080}
"""The ports in the container, by environment."""

PORT_SETTINGS = {"staging": "staging_port", "production": "app_port"}
"""The keys of [embedded] with the ports on this machine."""

START_TIMEOUT = 30


def up(client: docker.DockerClient, instance: Instance, image: str, settings: Settings, _say: Say) -> None:
    """The running edge, which needs no release: it answers 503 until there is one."""
    ports = {LISTENERS[name]: port(instance, name) for name in served(settings)}
    ensure_container(client, instance, Container(role=ROLE, image=image, ports=ports))
    for outside in ports.values():
        wait_until(partial(_answers, outside), START_TIMEOUT, f"The edge does not answer at port {outside}")


def served(settings: Settings) -> list[str]:
    """The environments on the embedded cluster; `SettingsError` for one that has no listener."""
    names = [name for name, wanted in settings.environments.items() if wanted.context == EMBEDDED]
    for name in names:
        port_setting(name)
    return names


def port_setting(environment: str) -> str:
    """The key of [embedded] with the port at which the environment answers; `SettingsError` if none does."""
    if environment not in PORT_SETTINGS:
        raise SettingsError(
            f"The embedded platform serves no environment {environment!r}.",
            f"Call it {' or '.join(PORT_SETTINGS)}, or let its context be that of another cluster.",
        )
    return PORT_SETTINGS[environment]


def port(instance: Instance, environment: str) -> int:
    """Where the environment answers on 127.0.0.1."""
    return int(getattr(instance.ports, port_setting(environment)))


def public_url(instance: Instance, environment: str) -> str:
    """The environment's address by name, for whoever asks the platform's DNS server."""
    return f"http://{environment}.{dns_server.DOMAIN}:{port(instance, environment)}"


def browser_url(instance: Instance, settings: Settings, environment: str) -> str:
    """What a browser on this machine can open: the machine's resolver does not know the platform's names."""
    wanted = settings.environment(environment)
    if wanted.context != EMBEDDED:
        return wanted.public_url
    return f"http://{dns_server.EDGE}:{port(instance, environment)}"


def _answers(outside: int) -> bool:
    try:
        return bool(httpx.get(f"http://127.0.0.1:{outside}", timeout=5, trust_env=False).status_code)
    except httpx.TransportError:
        return False
