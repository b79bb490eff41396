"""What `run` leaves behind however it ends."""

import pytest

from deployments.local import supervision
from deployments.local.commands.run import _poller_restarted
from deployments.local.instance import Instance
from deployments.local.prefect import triggers
from deployments.local.prefect.server import POLLER
from deployments.prefect.api import PrefectApi

pytestmark = pytest.mark.exclusive


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_the_poller_runs_although_the_step_that_stopped_it_was_cut_off(
    prefect_server: PrefectApi, instance: Instance, end: type[BaseException]
) -> None:
    triggers.stop_poller(instance)
    try:
        with pytest.raises(end), _poller_restarted(instance):
            raise end
        assert supervision.is_up(instance, POLLER)
    finally:
        triggers.stop_poller(instance)
