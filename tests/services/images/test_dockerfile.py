"""The Dockerfile that the builder gets, and what a build on the real engine may take."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.local.docker.engine import connect
from flows.core.build.trust import Trust
from flows.core.errors import BuildFailed, CredentialsRefused
from flows.services.images import docker_images
from flows.services.images.container_engine import Build, ContainerEngine
from flows.services.images.dockerfile import dockerfile_for
from flows.services.process.command import silent
from flows.services.registry.auth import Credentials, always
from tests.support.private_registry import private_registry

BASE = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"


def laid_out(folder: Path, text: str, name: str = "Dockerfile") -> Path:
    context = folder / "context"
    (context / name).parent.mkdir(parents=True)
    (context / name).write_text(text)
    return context


def test_the_released_branchs_dockerfile_is_taken_as_it_was_committed(tmp_path: Path) -> None:
    context = laid_out(tmp_path, "# syntax=docker/dockerfile:1\nFROM python\n")
    assert dockerfile_for(Trust.RELEASED, context, "Dockerfile") == "Dockerfile"
    with pytest.raises(BuildFailed, match="Dockerfile, line 1,"):
        dockerfile_for(Trust.BRANCH, context, "Dockerfile")


def test_a_branchs_dockerfile_is_a_copy_beside_the_context_with_what_it_ignores(tmp_path: Path) -> None:
    context = laid_out(tmp_path, f"{BASE}RUN --mount=type=cache,target=/c ls\n", "images/app.Dockerfile")
    (context / "images" / "app.Dockerfile.dockerignore").write_text("*.md\n")
    own = Path(dockerfile_for(Trust.BRANCH, context, "images/app.Dockerfile"))
    assert own.read_text() == f"{BASE}RUN --mount=type=cache,target=/c,id=branch-/c ls\n"
    assert own.with_name(f"{own.name}.dockerignore").read_text() == "*.md\n"
    assert not own.is_relative_to(context)
    assert "branch-" not in (context / "images" / "app.Dockerfile").read_text()


@pytest.mark.parametrize("trust", Trust)
def test_a_dockerfile_that_is_a_link_out_of_the_context_is_refused(tmp_path: Path, trust: Trust) -> None:
    context = laid_out(tmp_path, "")
    (tmp_path / "secret").write_text(BASE)
    (context / "Dockerfile").unlink()
    (context / "Dockerfile").symlink_to("../secret")
    with pytest.raises(BuildFailed, match="leads out of the build context"):
        dockerfile_for(trust, context, "Dockerfile")


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Credentials]:
    with private_registry(tmp_path_factory.mktemp("private")) as login:
        yield login


def pushed(engine: ContainerEngine, folder: Path, name: str) -> str:
    """A small image that only the registry has, by digest."""
    context = laid_out(folder / name, f"FROM scratch\nCOPY Dockerfile /{uuid.uuid4().hex}\n")
    login = engine.login()
    assert login
    tag = f"{login.address}/{name}:1"
    engine.build(Build(context, "Dockerfile", tag, platform=PLATFORM), silent)
    engine.push(tag, silent)
    client = connect()
    (digest,) = client.images.get(tag).attrs["RepoDigests"]
    client.images.remove(tag, force=True)
    return str(digest)


PLATFORM = "linux/amd64"


@pytest.mark.apart
def test_a_build_gets_the_private_base_image_and_no_other_private_image(
    private: Credentials, engine: ContainerEngine, tmp_path: Path
) -> None:
    engine = replace(engine, login=always(private))
    base, secret = (pushed(engine, tmp_path, name) for name in ("team/base", "others/secret"))
    context = laid_out(tmp_path, f"{BASE}COPY Dockerfile /\n")
    build = Build(context, "Dockerfile", "slipway-test:private", None, {"BASE_IMAGE": base})
    with pytest.raises(BuildFailed, match="a registry refuses an image") as refused:
        engine.build(build, silent)
    assert "signed in to no registry" in refused.value.remedy
    logged: list[str] = []
    engine.pull_base(base, PLATFORM, logged.append)
    assert engine.build(build, silent)
    (context / "Dockerfile").write_text(f"{BASE}COPY --from={secret} / /\n")
    with pytest.raises(BuildFailed, match="a registry refuses an image"):
        engine.build(build, silent)

    (held_base,) = docker_images.bases_of(engine, base.partition("@")[0])
    assert held_base.names == (base,)
    held = len(logged)
    engine.pull_base(base, PLATFORM, logged.append)
    assert len(logged) == held
    with pytest.raises(BuildFailed, match=r"for linux/amd64, but \[app\] platform is linux/arm64"):
        engine.pull_base(base, "linux/arm64", silent)
    with pytest.raises(CredentialsRefused):
        replace(engine, login=always(replace(private, password="wrong"))).pull_base(secret, PLATFORM, silent)
    connect().images.remove(base, force=True)


@pytest.mark.apart
def test_a_branchs_build_sees_nothing_of_the_released_branchs_cache(
    engine: ContainerEngine, base_image: str, tmp_path: Path
) -> None:
    look = "RUN --mount=type=cache,id={id},target=/c ls -A /c; echo {once} > /c/file"

    def seen(trust: Trust) -> bool:
        text = BASE + look.format(id=cache, once=uuid.uuid4().hex)
        context = laid_out(tmp_path / uuid.uuid4().hex, text)
        path = dockerfile_for(trust, context, "Dockerfile")
        logged: list[str] = []
        build = Build(context, path, "slipway-test:cache", None, {"BASE_IMAGE": base_image})
        engine.build(build, logged.append)
        return any(re.search(r"^#\d+ [\d.]+ file$", line) for line in logged)

    cache = uuid.uuid4().hex
    levels = (Trust.RELEASED, Trust.BRANCH, Trust.RELEASED, Trust.BRANCH)
    assert [seen(trust) for trust in levels] == [False, False, True, True]
