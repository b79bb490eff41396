from pathlib import Path

import docker
import pytest

from deployments.local.docker import engine, images

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    return engine.connect()


def test_what_is_built_is_not_built_again(client: docker.DockerClient) -> None:
    first = images.ensure(client, images.REGISTRY, print)
    built = client.images.get(first).id
    told: list[str] = []
    assert images.ensure(client, images.REGISTRY, told.append) == first
    assert (told, client.images.get(first).id) == ([], built)


def test_a_changed_recipe_is_built_under_another_tag(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = tmp_path / "registry" / "Dockerfile"
    recipe.parent.mkdir()
    recipe.write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo built >/proof\n")
    unchanged = images.ensure(client, images.REGISTRY, print)
    monkeypatch.setattr(images, "RECIPES", tmp_path)
    told: list[str] = []
    changed = images.ensure(client, images.REGISTRY, told.append)
    try:
        assert changed != unchanged
        assert client.containers.run(changed, ["cat", "/proof"], remove=True) == b"built\n"
        assert "RUN echo built >/proof" in told
    finally:
        client.images.remove(changed, force=True)


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
