"""The slot under which `latest` moves, on a real server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployments.local.instance import Instance
from deployments.local.prefect.server import flow_environment
from deployments.prefect.api import PrefectApi
from flows.runtime.global_lock import LATEST, global_lock
from tests.support.prefect_client import talking_to

pytestmark = pytest.mark.exclusive

HOLD = f"""
import sys
from flows.runtime.global_lock import global_lock
with global_lock({LATEST!r}):
    print("held", flush=True)
    sys.stdin.read()
    print("over", flush=True)
"""


@contextmanager
def another_holder(instance: Instance) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the slot until its input ends."""
    command = [sys.executable, "-c", HOLD]
    environment = os.environ | flow_environment(instance)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield holder


def test_a_waiting_run_gets_the_slot_once_its_holder_is_done(
    instance: Instance, prefect_server: PrefectApi
) -> None:
    with another_holder(instance) as holder, talking_to(prefect_server):
        assert holder.stdin
        assert holder.stdout
        holder.stdin.close()
        with global_lock(LATEST):
            assert holder.stdout.readline() == "over\n"


@pytest.mark.slow
def test_a_waiting_run_gets_the_slot_of_a_holder_that_was_killed(
    instance: Instance, prefect_server: PrefectApi
) -> None:
    with another_holder(instance) as holder:
        holder.kill()
    with talking_to(prefect_server), global_lock(LATEST):
        pass
