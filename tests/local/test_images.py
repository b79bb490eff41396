from pathlib import Path

import docker
import pytest
from rich.console import Console

from deployments.local.commands.stop import stop_platform
from deployments.local.docker import engine, images
from tests.local.cluster_under_test import free_instance

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    return engine.connect()


def test_what_is_built_is_not_built_again(client: docker.DockerClient) -> None:
    first = images.ensure(client, images.REGISTRY, print)
    built = client.images.get(first).id
    logged: list[str] = []
    assert images.ensure(client, images.REGISTRY, logged.append) == first
    assert (logged, client.images.get(first).id) == ([], built)


def test_a_changed_recipe_is_built_under_another_tag(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = tmp_path / "registry" / "Dockerfile"
    recipe.parent.mkdir()
    recipe.write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo built >/proof\n")
    unchanged = images.ensure(client, images.REGISTRY, print)
    monkeypatch.setattr(images, "RECIPES", tmp_path)
    logged: list[str] = []
    changed = images.ensure(client, images.REGISTRY, logged.append)
    try:
        assert changed != unchanged
        assert client.containers.run(changed, ["cat", "/proof"], remove=True) == b"built\n"
        assert "RUN echo built >/proof" in logged
    finally:
        client.images.remove(changed, force=True)


def test_without_its_images_the_platform_is_stopped_and_gets_another_base(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(images, "REPOSITORY", "slipway-test-platform")
    monkeypatch.setattr(images, "LABEL", "slipway.test-platform")
    monkeypatch.setattr(images, "BASE_COMMAND", ("tar", "--create", "--files-from=/dev/null", "--file"))
    instance = free_instance("images", tmp_path)
    base = images.ensure(client, images.BASE, print)
    first = client.images.get(base).id
    try:
        stop_platform(instance, Console())
        assert client.images.get(images.ensure(client, images.BASE, print)).id == first
        stop_platform(instance, Console(), with_images=True)
        assert client.images.get(images.ensure(client, images.BASE, print)).id != first
    finally:
        client.images.remove(base, force=True)


def test_every_image_is_found_when_all_is_to_go(client: docker.DockerClient) -> None:
    image = images.ensure(client, images.NODE, print)
    labelled = client.images.list(filters={"label": f"{images.LABEL}=true"})
    assert image in [tag for found in labelled for tag in found.tags]


def test_the_base_runs_python_with_virtual_environments(client: docker.DockerClient) -> None:
    base = images.ensure(client, images.BASE, print)
    said = client.containers.run(
        base, ["python3", "-c", "import ensurepip, sys; print(sys.version)"], remove=True
    )
    assert said.startswith(b"3.11.")
