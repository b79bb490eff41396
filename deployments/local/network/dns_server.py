"""The platform's own DNS server: dnsmasq, which knows the names of the environments on this machine."""

import docker

from deployments.local.docker.engine import Container, ensure_container
from deployments.local.instance import Instance
from deployments.local.progress import Say
from deployments.local.wait import wait_until
from flows.core.errors import EdgeNotInOrder, ResolverUnavailable
from flows.services.verification import dns

ROLE = "dns"
DOMAIN = "slipway.test"
"""Reserved for tests (RFC 6761): no public server answers for it. The Dockerfile names it, too."""

EDGE = "127.0.0.1"
"""What every name of the domain resolves to: where the edge is published."""

START_TIMEOUT = 30


def up(client: docker.DockerClient, instance: Instance, image: str, _say: Say) -> str:
    """Where the running server listens, by UDP and TCP, as address:port."""
    ports = {5353: instance.ports.dns_port}
    ensure_container(client, instance, Container(role=ROLE, image=image, ports=ports, udp_ports=ports))
    where = address(instance)
    wait_until(
        lambda: _answers(where),
        START_TIMEOUT,
        f"The DNS server at {where} does not answer",
        f"Read its log (docker logs {instance.container(ROLE)}), then run this again.",
    )
    return where


def address(instance: Instance) -> str:
    """Where the server listens."""
    return f"127.0.0.1:{instance.ports.dns_port}"


def _answers(where: str) -> bool:
    try:
        return dns.addresses(f"edge.{DOMAIN}", where) == (EDGE,)
    except (EdgeNotInOrder, ResolverUnavailable):
        return False
