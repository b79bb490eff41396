"""The platform's own image registry: Debian's docker-registry in a container, with a password."""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt
import docker
import httpx

from deployments.local.docker.engine import Container, ensure_container
from deployments.local.instance import Instance
from deployments.local.progress import Say
from deployments.local.wait import wait_until
from flows.core.errors import PlatformFailed
from flows.services.process.files import write_private
from flows.services.process.tls import NO_TLS

ROLE = "registry"
BASE_REPOSITORY = "slipway/base"
START_TIMEOUT = 30


@dataclass(frozen=True)
class RegistryAccess:
    """Where the registry is (as in an image's name) and who may push and pull."""

    address: str
    username: str
    password: str = field(repr=False)


def up(client: docker.DockerClient, instance: Instance, image: str, _say: Say) -> RegistryAccess:
    """The running registry; its images survive in a volume, its password in the state folder."""
    access = ensure_access(instance)
    htpasswd = _folder(instance) / "htpasswd"
    ensure_container(
        client,
        instance,
        Container(
            role=ROLE,
            image=image,
            environment={
                "REGISTRY_HTTP_ADDR": "0.0.0.0:5000",
                "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/var/lib/docker-registry",
                "REGISTRY_STORAGE_DELETE_ENABLED": "true",
                "REGISTRY_AUTH_HTPASSWD_REALM": "slipway",
                "REGISTRY_AUTH_HTPASSWD_PATH": "/etc/slipway/htpasswd",
                "HTPASSWD_DIGEST": hashlib.sha256(htpasswd.read_bytes()).hexdigest(),
            },
            volumes={ROLE: "/var/lib/docker-registry"},
            mounts={str(htpasswd): "/etc/slipway/htpasswd"},
            ports={5000: instance.ports.registry_port},
        ),
    )
    wait_until(lambda: _answers(access), START_TIMEOUT, f"The registry at {access.address} does not answer")
    return access


def ensure_access(instance: Instance) -> RegistryAccess:
    """User and password, made the first time."""
    file = _folder(instance) / "access.json"
    address = f"localhost:{instance.ports.registry_port}"
    if not file.exists():
        password = secrets.token_urlsafe(24)
        # The least cost that bcrypt knows: every request pays it, and 192 random bits cannot be guessed.
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
        write_private(_folder(instance) / "htpasswd", f"slipway:{hashed}\n".encode())
        write_private(file, json.dumps({"username": "slipway", "password": password}).encode())
    return RegistryAccess(address=address, **json.loads(file.read_text()))


def push_base(client: docker.DockerClient, image: str, access: RegistryAccess, say: Say) -> str:
    """The base image's name in the registry, by digest: what the application's images are built from."""
    repository = f"{access.address}/{BASE_REPOSITORY}"
    base = client.images.get(image)
    for reference in base.attrs["RepoDigests"]:
        if reference.startswith(f"{repository}@") and _holds(access, reference.partition("@")[2]):
            return str(reference)
    say(f"pushing the base image to {repository}")
    tag = str(base.id).removeprefix("sha256:")[:12]
    base.tag(repository, tag)
    credentials = {"username": access.username, "password": access.password}
    for event in client.images.push(repository, tag, auth_config=credentials, stream=True, decode=True):
        if "error" in event:
            raise PlatformFailed(f"The base image can't be pushed to {repository}: {event['error']}.")
        if digest := event.get("aux", {}).get("Digest"):
            return f"{repository}@{digest}"
    raise PlatformFailed(f"The docker daemon pushed the base image to {repository} and returned no digest.")


def _holds(access: RegistryAccess, digest: str) -> bool:
    url = f"http://{access.address}/v2/{BASE_REPOSITORY}/manifests/{digest}"
    login = (access.username, access.password)
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    return httpx.head(url, auth=login, headers=accept, trust_env=False, verify=NO_TLS).is_success


def _answers(access: RegistryAccess) -> bool:
    login = (access.username, access.password)
    try:
        return httpx.get(
            f"http://{access.address}/v2/", auth=login, timeout=5, trust_env=False, verify=NO_TLS
        ).is_success
    except httpx.TransportError:
        return False


def _folder(instance: Instance) -> Path:
    return instance.state / "registry"
