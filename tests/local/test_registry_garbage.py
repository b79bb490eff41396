"""The registry frees the space of what was deleted, by itself."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from deployments.local.docker import engine, images
from deployments.local.docker.engine import connect
from deployments.local.stores import registry as embedded
from flows.core.errors import ImageNotFound, SlipwayError
from flows.services.registry.auth import Credentials, always
from flows.services.registry.client import Registry
from tests.local.cluster_under_test import free_instance
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.platform, pytest.mark.apart]

KEPT, GOING = "kept", "going"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """One that collects its garbage every second."""
    monkeypatch.setattr(embedded, "COLLECT_EVERY", "1s")
    client, instance = connect(), free_instance("garbage", tmp_path)
    image = images.ensure(client, images.REGISTRY, print)
    try:
        engine.ensure_network(client, instance)
        access = embedded.up(client, instance, image, print)
        login = Credentials(access.address, access.username, access.password)
        yield Registry(access.address, "team/app", always(login), True, "linux/amd64")
    finally:
        engine.remove_all(client, instance)


def eventually(question: Callable[[], bool], otherwise: str) -> None:
    """Ask until it is so; the registry is away now and then, to collect."""

    def ask() -> bool:
        try:
            return question()
        except (SlipwayError, httpx.TransportError):
            return False

    wait_until(ask, otherwise)


def attach(registry: Registry, tag: str, content: bytes) -> bool:
    registry.attach(tag, content)
    return registry.attached(tag) == content


def delete(registry: Registry, tag: str) -> bool:
    with suppress(ImageNotFound):
        registry.delete(registry.digest(tag))
    return registry.find(tag) is None


def has(registry: Registry, content: bytes) -> bool:
    known = registry.login()
    assert known
    login = (known.username, known.password)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    url = f"http://{registry.address}/v2/team/app/blobs/{digest}"
    return httpx.head(url, auth=login, trust_env=False).is_success


def test_the_layers_of_a_deleted_image_go_and_those_of_others_stay(registry: Registry) -> None:
    for tag in (KEPT, GOING):
        eventually(partial(attach, registry, tag, tag.encode()), "The registry takes nothing")
    eventually(lambda: delete(registry, f"{GOING}.model"), "The registry deletes nothing")
    eventually(lambda: not has(registry, GOING.encode()), "The layer of a deleted image is still there")
    eventually(lambda: has(registry, KEPT.encode()), "The layer of an image is gone")
