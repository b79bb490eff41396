"""Registries with a password, apart from the platform's."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import httpx

from deployments.local.docker import images as platform_images
from deployments.local.docker.engine import connect
from flows.services.process.tls import NO_TLS
from flows.services.registry.auth import Credentials
from tests.support.waiting import wait_until


@contextmanager
def private_registry(folder: Path) -> Iterator[Credentials]:
    """A registry with a password, and its credentials, until the block ends; the folder gets its htpasswd."""
    password = uuid.uuid4().hex
    users = folder / "htpasswd"
    users.write_text(f"ci:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()}\n")
    settings = {
        "REGISTRY_AUTH_HTPASSWD_REALM": "test",
        "REGISTRY_AUTH_HTPASSWD_PATH": "/htpasswd",
        "REGISTRY_STORAGE_DELETE_ENABLED": "true",
    }
    with registry_with(settings, users) as address:
        yield Credentials(address, "ci", password)


@contextmanager
def registry_with(
    settings: Mapping[str, str], file: Path, *, name: str | None = None, network: str | None = None
) -> Iterator[str]:
    """The address of one with these settings, as its container's variables, and that file at its root.

    The container has that name, and is in that network of docker's.
    """
    client = connect()
    container = client.containers.run(
        platform_images.ensure(client, "registry", print),
        detach=True,
        environment={"REGISTRY_HTTP_ADDR": "0.0.0.0:5000", **settings},
        volumes={str(file): {"bind": f"/{file.name}", "mode": "ro"}},
        ports={"5000/tcp": ("127.0.0.1", 0)},
        name=name,
        network=network,
    )
    try:
        container.reload()
        (bound,) = container.ports["5000/tcp"] or []
        address = f"localhost:{bound['HostPort']}"
        wait_until(lambda: _answers(address), "the registry does not answer")
        yield address
    finally:
        container.remove(force=True, v=True)


def _answers(address: str) -> bool:
    try:
        httpx.get(f"http://{address}/v2/", trust_env=False, verify=NO_TLS)
    except httpx.TransportError:
        return False
    return True
