"""What CI keeps on its machine for later runs has limits that hold by themselves."""

import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from deployments.local.docker.engine import connect
from flows.core.errors import PermanentError
from flows.services.images import docker_images
from flows.services.images.container_engine import ContainerEngine
from flows.services.models.transfer import no_progress
from flows.services.process import files
from flows.stages import machine_limits
from flows.stages.context import RunContext, opened
from flows.stages.machine_limits import machine_kept_small
from tests.stand_ins.http_server import JsonHandler, serving
from tests.support.own_credentials import OwnCredentials


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def run(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunContext]:
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("SLIPWAY_REGISTRY__ADDRESS", "localhost:1")
    monkeypatch.setenv("SLIPWAY_REGISTRY__REPOSITORY", f"slipway-test/limits-{uuid.uuid4().hex[:8]}")
    with opened("a-test", said.append, no_progress, OwnCredentials(tmp_path).source) as found:
        yield found


class Cache(JsonHandler):
    """Docker's engine, as far as its build cache needs one; the real one's cache is every test's."""

    used: ClassVar[int]

    def do_GET(self) -> None:  # http.server's name
        self.answer(200, {"ApiVersion": "1.41"})

    def do_POST(self) -> None:  # http.server's name
        url = urlsplit(self.path)
        assert url.path.endswith("/build/prune")
        kept = min(int(parse_qs(url.query)["keep-storage"][0]), self.used)
        freed, type(self).used = self.used - kept, kept
        self.answer(200, {"CachesDeleted": None, "SpaceReclaimed": freed})


def test_the_build_cache_is_kept_within_its_limit() -> None:
    with serving(Cache) as address:
        engine = ContainerEngine(address.replace("http", "tcp"), "a-test")
        for used, freed in ((900, 0), (1500, 500)):
            Cache.used = used
            assert docker_images.limit_build_cache(engine, 1000) == freed
            assert Cache.used == used - freed


@pytest.mark.apart
def test_the_real_engine_knows_the_limit() -> None:
    assert docker_images.limit_build_cache(ContainerEngine(None, "a-test"), 10**15) == 0


@pytest.mark.apart
def test_the_newest_images_stay_on_the_engine_and_older_ones_go(
    run: RunContext, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_limits, "KEPT_ON_ENGINE", 2)
    client, repository = connect(), run.registry.name
    tags = [f"{repository}:{number * 64}" for number in "1234"]
    try:
        for tag in tags:
            name, differs = tag.rpartition(":")[2], [f"ENV A={tag}"]
            client.api.import_image_from_data(b"\0" * 1024, repository, name, differs)
        machine_limits.limit_engine(run)
        assert {name for image in client.images.list(name=repository) for name in image.tags} == set(tags[2:])
        assert said[-1].startswith("Removed 2 images from the engine")
    finally:
        for image in client.images.list(name=repository):
            client.images.remove(str(image.id), force=True)


def test_models_used_least_recently_go_whatever_becomes_of_the_run(
    run: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_limits, "limit_engine", lambda _: None)
    monkeypatch.setattr(machine_limits, "GIGABYTE", 10)
    for number in range(4):
        entry = run.cache / "models" / f"{number}-manifest"
        entry.mkdir(parents=True)
        (entry / "model.onnx").write_bytes(b"w" * 90)
        os.utime(entry, times=(number, number))
    with pytest.raises(PermanentError), machine_kept_small(run):
        raise PermanentError("the tests failed")
    assert sorted(path.name for path in (run.cache / "models").iterdir()) == ["2-manifest", "3-manifest"]


def test_an_engine_that_is_away_fails_no_run(
    run: RunContext, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    with machine_kept_small(run):
        pass
    assert said[-1].startswith("Old images and the build cache stay on the engine: ")


def test_models_that_can_not_be_removed_fail_no_run(
    run: RunContext, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(machine_limits, "limit_engine", lambda _: None)
    monkeypatch.setattr(files, "remove", refused)
    monkeypatch.setattr(machine_limits, "GIGABYTE", 0)
    entry = run.cache / "models" / "1-manifest"
    entry.mkdir(parents=True)
    (entry / "model.onnx").write_bytes(b"w")
    os.utime(entry, times=(0, 0))
    with machine_kept_small(run):
        pass
    assert "Old models stay on this machine: [Errno 5] Input/output error" in said
