"""What flows do around a release, without a platform: a cancel stays one."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.exceptions import TerminationSignal
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.config import load as configuration
from flows.credentials import environment
from flows.procedures.undo import restore_on_interrupt
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.lease import HeldLease
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock
from tests.support.a_record import a_record
from tests.support.kubeconfig import kubeconfig


@pytest.fixture
def silent_address() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_cancelled_run_ends_as_cancelled_also_where_nothing_can_be_put_back(
    silent_address: str, tmp_path: Path
) -> None:
    file = kubeconfig(tmp_path, "away", f"http://{silent_address}")
    cluster = Cluster(file, "away", "staging", "classifier")
    said: list[str] = []
    run = RunContext(
        "run-1",
        configuration.load(),
        tmp_path,
        said.append,
        lambda _: print,
        environment,
        _clusters={"staging": cluster},
    )
    lock = EnvironmentLock("staging", HeldLease(cluster, "run-1", {"spec": {"leaseTransitions": 1}}))
    with (
        temporary_settings({PREFECT_API_URL: f"http://{silent_address}/api"}),
        pytest.raises(TerminationSignal),
        restore_on_interrupt(run, lock, a_record()),
    ):
        raise TerminationSignal(signal=15)
    assert "could not be restored: The cluster 'away' could not be reached" in said[0]
