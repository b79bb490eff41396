"""Building, the test stage and the trial, on the real engine, with the smallest app."""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.local import images as platform_images
from deployments.local.engine import connect
from flows.core.errors import BuildFailed, EngineUnavailable
from flows.services import test_stage
from flows.services.command import silent
from flows.services.images import Build, Engine

TEAM_APP = Path(__file__).parent.parent / "flows" / "team_app"

Context = Callable[..., Path]


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(None, uuid.uuid4().hex)
    yield engine
    engine.remove_containers()


@pytest.fixture(scope="session")
def base_image() -> str:
    return platform_images.ensure(connect(), "base", print)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Lays out the app with this behaviour, and a model that nobody loads."""

    def lay_out(name: str = "context", **behaviour: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(TEAM_APP, folder)
        content = {"app": "good", "where": "", "tests": "pass", **behaviour}
        (folder / "behaviour.json").write_text(json.dumps(content))
        (folder / "model").mkdir()
        (folder / "model" / "manifest.json").write_text("{}")
        return folder

    return lay_out


def build(folder: Path, base_image: str, target: str | None = None) -> Build:
    return Build(folder, "Dockerfile", f"slipway-test:{folder.name}", target, {"BASE_IMAGE": base_image})


def test_the_same_context_is_the_same_image(engine: Engine, context: Context, base_image: str) -> None:
    same = build(context(), base_image)
    assert engine.build(same, silent) == engine.build(same, silent)


def test_the_builders_lines_are_told(engine: Engine, context: Context, base_image: str) -> None:
    told: list[str] = []
    engine.build(build(context(), base_image), told.append)
    assert any("COPY model /model" in line for line in told)


def test_a_build_that_fails_says_why(engine: Engine, context: Context, base_image: str) -> None:
    folder = context()
    (folder / "Dockerfile").write_text(f"FROM {base_image}\nRUN echo the reason && false\n")
    with pytest.raises(BuildFailed, match="could not be built") as failure:
        engine.build(build(folder, base_image), silent)
    assert "the reason" in failure.value.details


def test_a_report_is_copied_out_whatever_the_exit_status(
    engine: Engine, context: Context, base_image: str
) -> None:
    image = engine.build(build(context(tests="fail"), base_image, "test"), silent)
    ran = test_stage.run(engine, image, 30, silent)
    assert ran.status == 1
    assert ran.report is not None
    assert "expected a cat" in ran.report


def test_a_test_stage_that_hangs_is_ended_and_leaves_its_last_lines(
    engine: Engine, context: Context, base_image: str
) -> None:
    image = engine.build(build(context(tests="hang"), base_image, "test"), silent)
    ran = test_stage.run(engine, image, 2, silent)
    assert (ran.status, ran.report) == (None, None)
    assert "test_serves is waiting" in ran.log


def test_containers_that_a_run_left_are_removed_and_no_others(engine: Engine, base_image: str) -> None:
    other = Engine(None, uuid.uuid4().hex)
    mine = engine.start(base_image, "mine", command=["sleep", "60"])
    theirs = other.start(base_image, "theirs", command=["sleep", "60"])
    try:
        engine.remove_containers()
        left = {container.id for container in connect().containers.list(all=True)}
        assert mine.id not in left
        assert theirs.id in left
    finally:
        other.remove_containers()


def test_an_engine_that_does_not_answer_is_worth_another_try(context: Context, base_image: str) -> None:
    nobody = Engine("tcp://127.0.0.1:9", "run")
    with pytest.raises(EngineUnavailable, match="does not answer"):
        nobody.start(base_image, "any")
    with pytest.raises(EngineUnavailable, match="does not answer"):
        nobody.build(build(context(), base_image), silent)
