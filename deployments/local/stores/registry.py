"""The platform's own image registry: Debian's docker-registry in a container, with a password.

Its twin is a second process over the same images, which are read-only to it. It has a password of its own,
and is where the nodes of the cluster pull: the password that they hold pushes nowhere.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from functools import partial
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

ROLE, PULL_ROLE = "registry", "registry-pull"
IMAGES = "/var/lib/docker-registry"
HTPASSWD = "/etc/slipway/htpasswd"
BASE_REPOSITORY = "slipway/base"
START_TIMEOUT = 30

COLLECT_EVERY = "1d"
"""How long the registry serves until it deletes the layers that no manifest needs any more."""

DRAIN = "30s"
"""How long it waits for requests under way before that."""


@dataclass(frozen=True)
class RegistryAccess:
    """Where the registry is (as in an image's name) and who may push and pull; where its read-only twin is,
    and who may pull there."""

    address: str
    username: str
    password: str = field(repr=False)
    pull_address: str
    pull_username: str
    pull_password: str = field(repr=False)


def up(client: docker.DockerClient, instance: Instance, image: str, _say: Say) -> RegistryAccess:
    """The running registry and its twin; images survive in a volume, passwords in the state folder."""
    access = ensure_access(instance)
    for container in (_container(instance, image), _twin(instance, image)):
        ensure_container(client, instance, container)
    for role, address, *login in (
        (ROLE, access.address, access.username, access.password),
        (PULL_ROLE, access.pull_address, access.pull_username, access.pull_password),
    ):
        wait_until(
            partial(_answers, address, *login),
            START_TIMEOUT,
            f"The registry at {address} does not answer",
            f"Read its log (docker logs {instance.container(role)}), then run this again.",
        )
    return access


def ensure_access(instance: Instance) -> RegistryAccess:
    """Users and passwords, made the first time."""
    username, password = _login(instance, "slipway", "access.json", "htpasswd")
    pull_username, pull_password = _login(instance, "slipway-pull", "pull-access.json", "pull-htpasswd")
    return RegistryAccess(
        address=f"localhost:{instance.ports.registry_port}",
        username=username,
        password=password,
        pull_address=f"localhost:{instance.ports.registry_pull_port}",
        pull_username=pull_username,
        pull_password=pull_password,
    )


def _login(instance: Instance, username: str, file_name: str, htpasswd: str) -> tuple[str, str]:
    """User and password, drawn the first time; the registry reads the hash in the file `htpasswd`."""
    file = _folder(instance) / file_name
    if not file.exists():
        password = secrets.token_urlsafe(24)
        # The least cost that bcrypt knows: every request pays it, and 192 random bits cannot be guessed.
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
        write_private(_folder(instance) / htpasswd, f"{username}:{hashed}\n".encode())
        write_private(file, json.dumps({"username": username, "password": password}).encode())
    found = json.loads(file.read_text())
    return found["username"], found["password"]


def _container(instance: Instance, image: str) -> Container:
    htpasswd = _folder(instance) / "htpasswd"
    return Container(
        role=ROLE,
        image=image,
        environment={
            **_environment(htpasswd),
            "REGISTRY_STORAGE_DELETE_ENABLED": "true",
            "REGISTRY_HTTP_DRAINTIMEOUT": DRAIN,
            "COLLECT_EVERY": COLLECT_EVERY,
        },
        volumes={ROLE: IMAGES},
        mounts={str(htpasswd): HTPASSWD},
        ports={5000: instance.ports.registry_port},
    )


def _twin(instance: Instance, image: str) -> Container:
    htpasswd = _folder(instance) / "pull-htpasswd"
    # These two keys take YAML: a variable for a key below them ends the registry.
    read_only = {
        "REGISTRY_STORAGE_MAINTENANCE_READONLY": "{enabled: true}",
        "REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING": "{enabled: false}",
    }
    return Container(
        role=PULL_ROLE,
        image=image,
        environment={**_environment(htpasswd), **read_only},
        read_only_volumes={ROLE: IMAGES},
        mounts={str(htpasswd): HTPASSWD},
        ports={5000: instance.ports.registry_pull_port},
    )


def _environment(htpasswd: Path) -> dict[str, str]:
    return {
        "REGISTRY_HTTP_ADDR": "0.0.0.0:5000",
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": IMAGES,
        "REGISTRY_AUTH_HTPASSWD_REALM": "slipway",
        "REGISTRY_AUTH_HTPASSWD_PATH": HTPASSWD,
        "HTPASSWD_DIGEST": hashlib.sha256(htpasswd.read_bytes()).hexdigest(),
    }


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


def _answers(address: str, username: str, password: str) -> bool:
    login = (username, password)
    try:
        return httpx.get(
            f"http://{address}/v2/", auth=login, timeout=5, trust_env=False, verify=NO_TLS
        ).is_success
    except httpx.TransportError:
        return False


def _folder(instance: Instance) -> Path:
    return instance.state / "registry"
