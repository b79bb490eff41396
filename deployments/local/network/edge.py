"""What users of the embedded platform meet: haproxy before both nodes, as a cloud's load balancer would be.

It serves each environment at a port of this machine: production, staging, and those of [embedded.listeners].
"""

import hashlib
from functools import partial
from pathlib import Path

import docker
import httpx

from deployments.local.docker.engine import Container, ensure_container
from deployments.local.instance import Instance
from deployments.local.network import dns_server
from deployments.local.progress import Say
from deployments.local.wait import wait_until
from flows.config.load import EMBEDDED, Settings
from flows.config.schema import Embedded, Listener
from flows.core.errors import SettingsError
from flows.services.process.tls import NO_TLS

ROLE = "edge"
NODES = ("control-plane", "worker")
TEMPLATE = Path(__file__).with_name("haproxy.cfg")
HEALTH_CHECK = 100
"""How far a Service's health check node port is above its node port, in every overlay."""

START_TIMEOUT = 30


def up(client: docker.DockerClient, instance: Instance, image: str, settings: Settings, _say: Say) -> None:
    """The running edge, which needs no release: it answers 503 until there is one."""
    served(settings)
    wanted = listeners(instance.ports)
    file = instance.state / "edge" / "haproxy.cfg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(configuration(wanted, instance.ports.connections_per_client))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    container = Container(
        role=ROLE,
        image=image,
        environment={"CONFIGURATION_DIGEST": digest},
        mounts={str(file): "/etc/haproxy/haproxy.cfg"},
        ports={listener.node_port: listener.port for listener in wanted.values()},
    )
    ensure_container(client, instance, container)
    for listener in wanted.values():
        outside = listener.port
        wait_until(
            partial(_answers, outside),
            START_TIMEOUT,
            f"The edge does not answer at port {outside}",
            f"Read its log (docker logs {instance.container(ROLE)}), then run this again.",
        )


def listeners(ports: Embedded) -> dict[str, Listener]:
    """Every listener, by the name of its environment."""
    return {
        "production": Listener(port=ports.app_port, node_port=30080),
        "staging": Listener(port=ports.staging_port, node_port=30081),
        **ports.listeners,
    }


def configuration(wanted: dict[str, Listener], connections: int) -> str:
    """haproxy's configuration file with a frontend and a backend for each listener.

    `connections` is how many a client may have to each listener at a time.
    """
    sections = [_section(name, listener, connections) for name, listener in wanted.items()]
    return "".join([TEMPLATE.read_text(), *sections])


def _section(name: str, listener: Listener, connections: int) -> str:
    port, check = listener.node_port, listener.node_port + HEALTH_CHECK
    servers = "".join(f"    server {node} {node}:{port} port {check}\n" for node in NODES)
    return f"""
frontend {name}
    bind :{port}
    stick-table type ipv6 size 100k expire 1m store conn_cur
    tcp-request connection track-sc0 src
    tcp-request connection reject if {{ sc0_conn_cur gt {connections} }}
    http-request return status 403 content-type text/plain string "Metrics are read inside the cluster.\\n" \
if {{ path,url_dec -m reg -i ^/*metrics(/|$) }}
    default_backend {name}

backend {name}
    http-request disable-l7-retry if METH_POST # it may have had its effect
{servers}"""


def served(settings: Settings) -> list[str]:
    """The environments on the embedded cluster; `SettingsError` for one that has no listener."""
    names = [name for name, wanted in settings.environments.items() if wanted.context == EMBEDDED]
    known = listeners(settings.embedded)
    for name in names:
        if name not in known:
            raise SettingsError(
                f"The edge of the embedded platform has no listener for the environment {name!r}.",
                f"Add [embedded.listeners.{name}] with `port` and `node_port` to slipway.toml, and set the "
                "same nodePort in its overlay. Or let its context be that of another cluster.",
            )
    return names


def port_setting(environment: str) -> str:
    """The key of [embedded] with the port at which the environment answers."""
    named = {"production": "app_port", "staging": "staging_port"}
    return named.get(environment, f"listeners.{environment}.port")


def port(instance: Instance, environment: str) -> int:
    """Where the environment answers on 127.0.0.1."""
    return listeners(instance.ports)[environment].port


def public_url(instance: Instance, environment: str) -> str:
    """The environment's address by name, which the platform's DNS server knows."""
    return f"http://{environment}.{dns_server.DOMAIN}:{port(instance, environment)}"


def browser_url(instance: Instance, settings: Settings, environment: str) -> str:
    """What a browser on this machine can open: the machine's resolver does not know the platform's names."""
    wanted = settings.environment(environment)
    if wanted.context != EMBEDDED:
        return wanted.public_url
    return f"http://{dns_server.EDGE}:{port(instance, environment)}"


def _answers(outside: int) -> bool:
    try:
        return bool(
            httpx.get(f"http://127.0.0.1:{outside}", timeout=5, trust_env=False, verify=NO_TLS).status_code
        )
    except httpx.TransportError:
        return False
