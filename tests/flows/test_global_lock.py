"""The slot under which `latest` moves, on a real server."""

import os
import subprocess
import sys

import pytest

from deployments.local.instance import Instance
from deployments.local.prefect.server import flow_environment
from deployments.prefect.api import PrefectApi
from flows.runtime.flow_context import LATEST, global_lock
from tests.support.prefect_client import talking_to

pytestmark = pytest.mark.exclusive

HOLD = f"""
import time
from flows.runtime.flow_context import one_at_a_time
with one_at_a_time({LATEST!r}):
    print("held", flush=True)
    time.sleep(600)
"""


def test_whoever_waits_gets_the_slot_of_a_holder_that_was_killed(
    instance: Instance, prefect_server: PrefectApi
) -> None:
    command = [sys.executable, "-c", HOLD]
    environment = os.environ | flow_environment(instance)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with talking_to(prefect_server), global_lock(LATEST):
        pass
