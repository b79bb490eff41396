"""The platform's own DNS server: dnsmasq, which knows the names of the environments on this machine."""

import socket

import docker

from deployments.local.engine import Container, ensure_container
from deployments.local.instance import Instance
from deployments.local.polling import wait_until
from deployments.local.progress import Say

ROLE = "dns"
DOMAIN = "slipway.test"
"""Reserved for tests (RFC 6761): no server in the world answers for it. The recipe names it too."""

EDGE = "127.0.0.1"
"""What every name of the domain resolves to: where the edge is published."""

START_TIMEOUT = 30
ANSWER_TIMEOUT = 0.5


def up(client: docker.DockerClient, instance: Instance, image: str, _say: Say) -> str:
    """Where the running server listens, by UDP and TCP, as address:port."""
    port = instance.ports.dns_port
    ensure_container(
        client, instance, Container(role=ROLE, image=image, ports={5353: port}, udp_ports={5353: port})
    )
    wait_until(lambda: _answers(port), START_TIMEOUT, f"The DNS server at port {port} does not answer")
    return address(instance)


def address(instance: Instance) -> str:
    """Where the server listens."""
    return f"127.0.0.1:{instance.ports.dns_port}"


def _answers(port: int) -> bool:
    """By UDP: whether there is a reply (QR) with an address in it (ANCOUNT)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(ANSWER_TIMEOUT)
        try:
            client.sendto(question(f"edge.{DOMAIN}"), ("127.0.0.1", port))
            answer = client.recv(512)
        except OSError:
            return False
    return bool(answer[2] & 0x80 and answer[6:8] != b"\0\0")


def question(name: str) -> bytes:
    """A query for the IPv4 address of a name (RFC 1035, section 4), with 1 as its id."""
    header = b"\0\1" + b"\1\0" + b"\0\1" + b"\0\0" * 3  # recursion desired; one question
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\0" + b"\0\1" + b"\0\1"
