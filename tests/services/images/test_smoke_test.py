"""Trying an image out on the real engine: the container of the smallest app, behaving and misbehaving."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.local.docker.engine import connect
from flows.core.build.capsule import Capsule
from flows.core.errors import EngineUnavailable, TrialFailed
from flows.core.model.manifest import parse
from flows.services.images import smoke_test
from flows.services.images.container_engine import RUN_LABEL, ContainerEngine
from flows.services.images.smoke_test import Expected, Limits
from flows.services.process.command import silent
from tests.services.conftest import DIGITS, Context, build
from tests.stand_ins.unreliable_network import breaking_line

pytestmark = pytest.mark.apart

DOCKER_SOCKET = Path("/var/run/docker.sock")
EXPECTED = Expected(
    Capsule("c" * 64), parse((DIGITS / "manifest.json").read_bytes(), source="the digits' manifest")
)
LIMITS = Limits(port=8000, ready=10, stop=3)


Built = Callable[..., str]


@pytest.fixture
def built(engine: ContainerEngine, context: Context, base_image: str) -> Built:
    """Builds an app of this behaviour; the image's id."""

    def build_image(**behaviour: str) -> str:
        arguments = {"CAPSULE": EXPECTED.capsule.hash, "COMMIT": "1" * 40}
        return engine.build(build(context(**behaviour), base_image, None, **arguments), silent)

    return build_image


def left(engine: ContainerEngine) -> list[str]:
    found = connect().containers.list(
        all=True, filters={"label": f"{RUN_LABEL}={engine.run}"}, ignore_removed=True
    )
    return [str(container.name) for container in found]


def test_a_good_image_gets_ready_answers_every_example_and_stops(
    engine: ContainerEngine, built: Built
) -> None:
    seen = smoke_test.smoke_test(engine, built(), EXPECTED, LIMITS, silent)
    assert seen.examples == len(EXPECTED.manifest.examples)
    assert seen.ready_after < LIMITS.ready
    assert seen.stopped_after < LIMITS.stop
    assert left(engine) == []


@pytest.mark.parametrize(
    ("app", "limits", "told"),
    [
        ("dies", LIMITS, "ended by itself, with exit code 1"),
        ("hangs", replace(LIMITS, ready=1), "was not ready within 1 s"),
        ("never ready", replace(LIMITS, ready=1), "was not ready within 1 s"),
        ("answers wrong", LIMITS, "answers the model's examples wrong"),
        ("another version", LIMITS, "/version says capsule"),
        ("ignores SIGTERM", replace(LIMITS, stop=1), "did not stop within 1 s of SIGTERM"),
    ],
)
def test_a_container_that_misbehaves_fails_the_trial_with_its_last_lines(
    engine: ContainerEngine, built: Built, app: str, limits: Limits, told: str
) -> None:
    image = built(app=app)
    with pytest.raises(TrialFailed, match=told) as failure:
        smoke_test.smoke_test(engine, image, EXPECTED, limits, silent)
    assert "app is starting" in failure.value.details
    assert left(engine) == []


def test_of_a_container_that_logged_more_the_last_50_lines_are_told(
    engine: ContainerEngine, built: Built
) -> None:
    image = built(app="dies at length")
    with pytest.raises(TrialFailed, match="ended by itself") as failure:
        smoke_test.smoke_test(engine, image, EXPECTED, LIMITS, silent)
    assert failure.value.details.splitlines() == [f"line {number} of 120" for number in range(71, 121)]


def test_an_engine_that_breaks_off_while_it_waits_for_the_end_is_not_taken_for_a_deaf_container(
    engine: ContainerEngine, built: Built
) -> None:
    image = built(app="ignores SIGTERM")
    with breaking_line(DOCKER_SOCKET) as network:

        def break_off(line: str) -> None:
            if "examples" in line:
                network.break_off()

        remote = ContainerEngine(f"tcp://127.0.0.1:{network.port}", engine.run)
        with pytest.raises(EngineUnavailable, match="does not answer"):
            smoke_test.smoke_test(remote, image, EXPECTED, replace(LIMITS, stop=30), break_off)
