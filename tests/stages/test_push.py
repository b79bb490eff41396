"""What is pushed is what was tried out, on the real engine to a registry that wants a password."""

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.local.docker.engine import connect
from flows.core.build.capsule import Capsule
from flows.core.build.commit import Commit
from flows.core.build.image import parse
from flows.core.build.trust import Trust
from flows.core.errors import ClaimedByAnother, RegistryUnavailable
from flows.core.model.model import Model
from flows.services.images.container_engine import Build, ContainerEngine
from flows.services.models.transfer import no_progress
from flows.services.process.command import silent
from flows.services.registry.auth import Credentials, always
from flows.services.registry.client import Registry
from flows.stages import ci
from flows.stages.ci import Inputs
from flows.stages.context import RunContext, opened
from tests.flows.team import MODELS
from tests.stand_ins.unreliable_network import breaking_line
from tests.support.own_credentials import OwnCredentials
from tests.support.private_registry import private_registry

pytestmark = pytest.mark.apart

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MODEL = Model("classifier", "1.0.0", "sha256:" + "1" * 64, "sha256:" + "2" * 64, 1)


@pytest.fixture
def login(tmp_path: Path) -> Iterator[Credentials]:
    with private_registry(tmp_path) as found:
        yield found


@pytest.fixture
def run(login: Credentials, tmp_path: Path) -> Iterator[RunContext]:
    with opened_at(login, tmp_path) as found, images_removed(found):
        yield found


@contextmanager
def opened_at(login: Credentials, folder: Path, **settings: str) -> Iterator[RunContext]:
    """A run that pushes to that registry, with those settings of [registry]."""
    with pytest.MonkeyPatch.context() as variables:
        for key, value in {"ADDRESS": login.address, "INSECURE": "true", **settings}.items():
            variables.setenv(f"SLIPWAY_REGISTRY__{key}", value)
        credentials = OwnCredentials(folder, login)
        with opened(f"test-{uuid.uuid4()}", silent, no_progress, credentials.source) as found:
            yield found


@contextmanager
def images_removed(run: RunContext) -> Iterator[None]:
    """Remove the engine's images for the run's registry at the end."""
    yield
    for image in connect().images.list(name=run.registry.name):
        for tag in image.tags:
            run.engine.untag(tag)


def inputs(trust: Trust = Trust.RELEASED) -> Inputs:
    commit = Commit("/app", "a" * 40, "main", "Ada", NOW, "A change", trust)
    return Inputs(commit, MODEL, parse("python@sha256:3"), Capsule(uuid.uuid4().hex * 2, "d" * 64))


def built(run: RunContext, ballast: int = 0) -> str:
    """The id of an image of that many bytes and a few more, under the run's own tag."""
    context = run.workspace / uuid.uuid4().hex
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM scratch\nCOPY . /{context.name}\n")
    (context / "ballast").write_bytes(random.randbytes(ballast))
    build = Build(context, "Dockerfile", ci.own_tag(run), platform=run.settings.app.platform)
    return run.engine.build(build, silent)


@pytest.mark.parametrize("trust", Trust)
def test_the_pushed_image_is_the_one_that_was_tried_out_under_the_tag_of_its_trust(
    run: RunContext, trust: Trust
) -> None:
    wanted, image = inputs(trust), built(run)
    pushed = ci.push_image(run, wanted, image, MODELS / "digits")
    assert image in run.registry.manifest(pushed.digest).names
    assert run.registry.image(f"{trust.prefix}{wanted.capsule.hash}") == pushed
    assert sorted(run.registry.tags()) == [wanted.tag, f"{wanted.tag}.model"]
    assert connect().images.get(image).tags == [f"{run.registry.name}:{wanted.tag}"]


def test_an_image_that_another_run_pushes_under_the_same_tag_is_not_taken_for_it(
    run: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, ours, theirs = inputs(), built(run), built(run)
    tag = ContainerEngine.tag

    def theirs_a_moment_later(engine: ContainerEngine, image: str, name: str) -> None:
        tag(engine, image, name)
        tag(engine, theirs, name)

    with monkeypatch.context() as racing:
        racing.setattr(ContainerEngine, "tag", theirs_a_moment_later)
        with pytest.raises(ClaimedByAnother, match="is not the one that was tried out"):
            ci.push_image(run, wanted, ours, MODELS / "digits")
    pushed = ci.push_image(run, wanted, ours, MODELS / "digits")
    assert ours in run.registry.manifest(pushed.digest).names


def test_the_time_of_a_push_is_noted_beside_the_image(run: RunContext) -> None:
    before = datetime.now(UTC)
    wanted = inputs()
    ci.push_image(run, wanted, built(run), MODELS / "digits")
    noted = run.registry.manifest(f"{wanted.tag}.model").pushed
    assert noted
    assert before <= noted <= datetime.now(UTC)


def test_a_push_that_breaks_off_leaves_no_image_and_finds_the_registry_away(
    login: Credentials, tmp_path: Path
) -> None:
    port = int(login.address.rpartition(":")[2])
    with breaking_line(port, up=500_000) as line:
        through = replace(login, address=f"localhost:{line.port}")
        with opened_at(through, tmp_path) as run, images_removed(run):
            wanted, image = inputs(), built(run, ballast=1 << 20)
            with (
                opened_at(through, tmp_path, PUSH_TIMEOUT="2") as impatient,  # docker itself tries for 50 s
                pytest.raises(RegistryUnavailable, match="could not be pushed"),
            ):
                ci.push_image(impatient, wanted, image, MODELS / "digits")
            assert line.spent.is_set()
            registry = Registry(login.address, run.registry.repository, always(login), insecure=True)
            assert registry.tags() == [f"{wanted.tag}.model"]
            line.mend()
            pushed = ci.push_image(run, wanted, image, MODELS / "digits")
            assert image in registry.manifest(pushed.digest).names
