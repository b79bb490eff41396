"""A refusal of the fence is believed only where the Lease says the same: one API server may be behind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flows.core.errors import ClusterUnavailable, FenceLost
from flows.core.release.environment_state import EnvironmentState
from flows.services.kubernetes.release_store import Records
from tests.stand_ins.api_server_behind import ApiServers, api_servers

pytestmark = pytest.mark.exclusive


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[ApiServers]:
    with api_servers(tmp_path, "run-2", 7) as found:
        yield found


def write(servers: ApiServers, fence: str = "run-2/7") -> None:
    Records(servers.cluster).write_notes(EnvironmentState(), fence)


def test_a_server_that_has_not_heard_of_the_holder_yet_is_asked_again(servers: ApiServers) -> None:
    servers.behind = 3
    write(servers)
    assert (servers.refused, len(servers.written)) == (3, 1)


@pytest.mark.parametrize(("holder", "number"), [("run-3", 8), ("run-2", 8), ("run-3", 7), ("", 7)], ids=str)
def test_a_refusal_is_final_once_the_lease_is_not_held_by_this_fence(
    servers: ApiServers, holder: str, number: int
) -> None:
    servers.behind = 2
    servers.lease = {"holderIdentity": holder, "leaseTransitions": number}
    with pytest.raises(FenceLost):
        write(servers)
    assert servers.refused == 1


def test_a_fence_without_a_holder_belongs_to_no_run(servers: ApiServers) -> None:
    servers.behind = 2
    servers.lease = {"leaseTransitions": 7}
    with pytest.raises(FenceLost):
        write(servers, "/7")


def test_a_server_that_stays_behind_does_not_pass_for_another_run(
    servers: ApiServers,
) -> None:
    servers.cluster = replace(servers.cluster, hears_within=0.2)
    servers.behind = 1000
    with pytest.raises(ClusterUnavailable, match=r"This run has the Lease of production, but .* refused"):
        write(servers)
