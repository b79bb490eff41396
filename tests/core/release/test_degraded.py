"""Which failed checks speak against a release, and which against what it runs on."""

from dataclasses import replace

import pytest

from flows.core.errors import EdgeNotInOrder, ProofFailed, RolloutFailed, SlipwayError
from flows.core.release.decision import Observed
from flows.core.release.degraded import degraded_by
from tests.core.releases import deployed

SERVED = replace(deployed(), ready=2)
DOWN = replace(deployed(whole=False), ready=0)

REFUSED = EdgeNotInOrder("No load balancer accepts a connection.", finding="refused")
BAD_GATEWAY = ProofFailed("/version answered 502.", fault="infrastructure")
NO_ROOM = RolloutFailed("No node has enough cpu.", fault="infrastructure")
WRONG = ProofFailed("app-1 answers wrong.")
CRASHING = RolloutFailed("It keeps crashing.", fault="image")
QUOTA = RolloutFailed("No pod may be created.", fault="configuration")


@pytest.mark.parametrize("failure", [REFUSED, BAD_GATEWAY, NO_ROOM])
def test_a_fault_of_the_infrastructure_degrades_no_release_of_which_a_replica_is_ready(
    failure: SlipwayError,
) -> None:
    assert degraded_by(failure, SERVED) == ""


@pytest.mark.parametrize("failure", [WRONG, CRASHING, QUOTA])
def test_a_fault_of_image_or_configuration_degrades_the_release(failure: SlipwayError) -> None:
    assert degraded_by(failure, SERVED) == failure.happened


@pytest.mark.parametrize("failure", [REFUSED, BAD_GATEWAY, NO_ROOM, WRONG, CRASHING, QUOTA])
@pytest.mark.parametrize("live", [DOWN, None], ids=["no replica is ready", "the Deployment is gone"])
def test_what_is_entirely_down_is_degraded_whatever_is_at_fault(
    failure: SlipwayError, live: Observed | None
) -> None:
    assert degraded_by(failure, live) == f"no replica is ready: {failure.happened}"


def test_what_was_scaled_to_zero_until_a_request_comes_is_not_down() -> None:
    asleep = replace(deployed(), replicas=0, ready=0, asleep="KEDA's ScaledObject by-queue")
    assert degraded_by(BAD_GATEWAY, asleep) == ""
