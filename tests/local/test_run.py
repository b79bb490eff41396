"""What `run` leaves behind however it ends."""

import pytest

from deployments.local import supervision
from deployments.local.commands.run import _watched
from deployments.local.instance import Instance
from deployments.local.prefect import triggers
from deployments.local.prefect.server import WATCH
from deployments.prefect.api import PrefectApi

pytestmark = pytest.mark.exclusive


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_the_watch_looks_although_the_step_that_made_it_rest_was_cut_off(
    prefect_server: PrefectApi, instance: Instance, end: type[BaseException]
) -> None:
    triggers.rest(instance)
    try:
        with pytest.raises(end), _watched(instance):
            raise end
        assert supervision.is_up(instance, WATCH)
    finally:
        triggers.rest(instance)
