"""Behind a cloud's load balancer, which is there minutes after its Service, and refuses while all is down."""

from collections.abc import Iterator

import pytest

from deployments.local.network import edge
from flows.config import load as configuration
from flows.rollback import rollback
from flows.verify import verify
from tests.flows.conftest import Ended, Line
from tests.flows.environments import Place
from tests.flows.lines import line_with_image
from tests.stand_ins.cloud_controller import Cloud, cloud_controller
from tests.support import worker
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.waiting import wait_until

STAGING = Place("staging")
LATE = 2.0
"""Seconds, where a cloud needs minutes."""


@pytest.fixture(scope="module")
def line(
    platform: PlatformUnderTest, prefect_of_the_platform: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """A line with a good image, and nothing in staging."""
    with line_with_image(platform, tmp_path_factory.mktemp("cloud"), STAGING) as found:
        yield found


@pytest.fixture(scope="module")
def cloud(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Staging's users come through it; there is no load balancer yet, and no name."""
    port = edge.port(line.platform.instance, worker.namespace("staging"))
    folder = tmp_path_factory.mktemp("names")
    with (
        cloud_controller(STAGING.cluster, port, folder, late=LATE) as found,
        pytest.MonkeyPatch.context() as variables,
    ):
        variables.setenv("SLIPWAY_ENVIRONMENTS__STAGING__PUBLIC_URL", found.url)
        variables.setenv("SLIPWAY_ENVIRONMENTS__STAGING__RESOLVER", found.resolver)
        variables.setenv("SLIPWAY_ENVIRONMENTS__STAGING__LOAD_BALANCER", "[]")  # as the Service reports
        variables.setenv("SLIPWAY_ENVIRONMENTS__STAGING__ENDPOINT_TIMEOUT", "60")
        yield found


def test_a_first_release_waits_for_the_address_and_the_name_of_its_load_balancer(
    line: Line, cloud: Cloud
) -> None:
    assert configuration.load().environment("staging").public_url == cloud.url
    run = line.release()
    assert run.succeeded, run.message
    assert cloud.steps == ["address", "name", "connections"]
    assert f"{cloud.url} has no load balancer yet: it is checked after the rollout." in run.log()
    assert "| await endpoint |" in run.artifacts()
    assert STAGING.verdicts() == ["deployed"]


@pytest.fixture
def live(line: Line, cloud: Cloud) -> None:
    """A release of the line is."""
    run = line.release()
    assert run.succeeded, run.message


def all_down(line: Line, cloud: Cloud) -> None:
    """Release an image whose replicas get ready once only, and end all of them."""
    image = line.mint(BEHAVIOUR="waits for its role")
    before = set(STAGING.pods())
    new: list[str] = []

    def are_three() -> bool:
        new[:] = [pod for pod in STAGING.pods("Running") if pod not in before]
        return len(new) == 3

    run = line.start_release(image.digest)
    wait_until(are_three, "there are not three new pods")
    for pod in new:
        STAGING.kubectl("exec", pod, "--", "touch", "/tmp/right")
    ended = line.platform.wait(run)
    assert ended.state == "COMPLETED", ended.message
    STAGING.kubectl("delete", "pods", "--all", "--wait=false")
    wait_until(lambda: cloud.steps[-1] == "no connections", "replicas are still ready")


@pytest.mark.slow
@pytest.mark.usefixtures("live")
def test_while_all_is_down_verify_doubts_it_and_a_rollback_brings_it_back(line: Line, cloud: Cloud) -> None:
    good = STAGING.version()["capsule"]
    all_down(line, cloud)
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("SLIPWAY_ENVIRONMENTS__STAGING__ROLLOUT_TIMEOUT", "3")
        failed = Ended(line.platform, verify(environment="staging", return_state=True))
    assert not failed.succeeded
    assert "is not whole" in failed.message
    assert STAGING.history()[0].degraded.startswith("no replica is ready: ")
    state = rollback(environment="staging", reason="a test", by="Ada", return_state=True)
    back = Ended(line.platform, state)
    assert back.succeeded, back.message
    assert STAGING.version()["capsule"] == good


@pytest.mark.slow
@pytest.mark.usefixtures("live")
def test_while_all_is_down_a_release_mends_it(line: Line, cloud: Cloud) -> None:
    all_down(line, cloud)
    mending = line.mint()
    run = line.release(mending.digest, force=True, reason="a test")
    assert run.succeeded, run.message
    assert STAGING.version()["capsule"] == mending.content.capsule
