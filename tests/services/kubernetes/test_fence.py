"""A run that lost its Lease writes nothing more, whatever it does and whenever it read what it writes."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from flows.config.version import cluster_edition
from flows.core.errors import ClusterNotPrepared, FenceLost
from flows.core.release.environment_state import EnvironmentState
from flows.services.kubernetes import lease
from flows.services.kubernetes.cluster import PREPARED, Cluster
from flows.services.kubernetes.fence import FENCE, LEASE, fenced
from flows.services.kubernetes.release_store import Records
from flows.services.process.command import silent
from tests.services.a_namespace import Namespace, config_map
from tests.stand_ins.writing_run import LOST, writing_run
from tests.support.a_record import a_record

DURATION = 2
"""Seconds that a Lease lasts here."""


@dataclass(frozen=True)
class TakenOver:
    """`a` was written under the stale fence, and not stamped since."""

    cluster: Cluster
    stale: str
    current: str


@pytest.fixture
def taken_over(namespace: Namespace) -> Iterator[TakenOver]:
    """A namespace whose Lease went from one run to another."""
    with lease.acquire(namespace.account, "run-1", 0, silent) as first:
        namespace.account.apply([config_map("a", by="run-1")], first.fence, silent)
        Records(namespace.account).write(a_record(1), first.fence)
    with lease.acquire(namespace.account, "run-2", 0, silent) as second:
        yield TakenOver(namespace.account, first.fence, second.fence)


STALE_WRITES: dict[str, Callable[[Cluster, str], object]] = {
    "apply to what there is": lambda c, fence: c.apply([config_map("a", by="stale")], fence, silent),
    "apply something new": lambda c, fence: c.apply([config_map("b", by="stale")], fence, silent),
    "delete": lambda c, fence: c.delete([config_map("a")], fence, silent),
    "stamp": lambda c, fence: c.stamp([config_map("a")], fence, silent),
    "patch": lambda c, fence: c.api.merge(
        c.path("api/v1", "configmaps", "a"), {"metadata": fenced({}, fence), "data": {"by": "stale"}}
    ),
    "write a record": lambda c, fence: Records(c).write(a_record(2), fence),
    "close a record": lambda c, fence: Records(c).write(replace(a_record(1), verdict="deployed"), fence),
    "write notes": lambda c, fence: Records(c).write_notes(EnvironmentState(), fence),
}


@pytest.mark.parametrize("stamped", [True, False], ids=["stamped by the new holder", "not yet stamped"])
@pytest.mark.parametrize("what", STALE_WRITES)
def test_a_stale_write_is_refused(
    namespace: Namespace, taken_over: TakenOver, what: str, stamped: bool
) -> None:
    if stamped:
        record = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "slipway-release-1"}}
        taken_over.cluster.stamp([config_map("a"), record], taken_over.current, silent)
    if stamped or what != "stamp":  # what carries the fence already is left as it is
        with pytest.raises(FenceLost, match="Another run has taken over"):
            STALE_WRITES[what](taken_over.cluster, taken_over.stale)
    assert namespace.data("a") == {"by": "run-1"}
    assert namespace.data("b") is None
    assert namespace.data("slipway-environment") is None
    assert Records(namespace.admin).history() == [a_record(1)]


@pytest.mark.parametrize("fence", ["", "run-2", "/{number}", "run-1/{number}", "run-2/1{number}"])
def test_what_is_not_exactly_the_holders_fence_opens_nothing(taken_over: TakenOver, fence: str) -> None:
    number = taken_over.current.partition("/")[2]
    content = config_map("b") | {"metadata": fenced({"name": "b"}, fence.format(number=number))}
    with pytest.raises(FenceLost):
        taken_over.cluster.api.create(taken_over.cluster.path("api/v1", "configmaps"), content)


def test_no_write_passes_while_no_run_holds_the_lease(namespace: Namespace) -> None:
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        pass
    number = held.fence.partition("/")[2]
    for fence in (held.fence, f"/{number}"):
        with pytest.raises(FenceLost):
            namespace.account.apply([config_map("a")], fence, silent)


def test_a_delete_on_a_state_that_was_changed_since_does_not_pass(taken_over: TakenOver) -> None:
    cluster, path = taken_over.cluster, taken_over.cluster.path("api/v1", "configmaps", "a")
    cluster.stamp([config_map("a")], taken_over.current, silent)
    stale = cluster.api.get(path)
    assert stale
    cluster.apply([config_map("a", by="run-2")], taken_over.current, silent)
    with pytest.raises(Exception, match="changed by another writer"):
        cluster.api.delete(path, stale)


def test_a_run_that_was_frozen_and_woken_again_lands_no_write(namespace: Namespace) -> None:
    with writing_run(namespace.account, "run-1", DURATION) as run:
        run.await_writes()
        run.process.send_signal(signal.SIGSTOP)
        with lease.acquire(namespace.account, "run-2", 30, silent) as held:
            records = Records(namespace.account)
            records.write_notes(EnvironmentState(), held.fence)
            run.process.send_signal(signal.SIGCONT)
            assert run.process.wait(timeout=30) == LOST
            assert records.notes() == EnvironmentState()
            assert namespace.account.api.get(namespace.account.path("api/v1", "configmaps"))
            held.require_held()


def test_a_new_holders_first_write_waits_until_the_server_has_heard_of_it(namespace: Namespace) -> None:
    for holder in (f"run-{number}" for number in range(20)):
        with lease.acquire(namespace.account, holder, 0, silent) as held:
            Records(namespace.account).write_notes(EnvironmentState(), held.fence)


def test_a_fence_that_another_run_holds_by_now_is_not_waited_for_long(taken_over: TakenOver) -> None:
    with pytest.raises(FenceLost):
        taken_over.cluster.await_fence(taken_over.stale)


def test_a_prepared_namespace_is_fenced_whether_a_run_holds_the_lease_or_not(namespace: Namespace) -> None:
    namespace.account.require_fence()
    with lease.acquire(namespace.account, "run", 0, silent):
        namespace.account.require_fence()


def test_a_namespace_of_this_edition_is_accepted_and_of_another_is_refused(namespace: Namespace) -> None:
    namespace.account.require_edition(cluster_edition())
    namespace.kubectl(
        "annotate", "--overwrite", "namespace", namespace.account.namespace, f"{PREPARED}=older"
    )
    with pytest.raises(ClusterNotPrepared, match=r"with edition older.*deployments\.cluster\.bootstrap"):
        namespace.account.require_edition(cluster_edition())


@pytest.mark.parametrize("kind", ["validatingadmissionpolicy", "validatingadmissionpolicybinding"])
def test_a_fence_that_is_not_there_is_noticed(namespace: Namespace, kind: str) -> None:
    namespace.kubectl("delete", kind, f"slipway-fence-{namespace.admin.namespace}")
    with pytest.raises(ClusterNotPrepared, match=r"does not fence.*deployments\.cluster\.bootstrap"):
        _until_noticed(namespace.account)


def test_a_lease_that_is_not_there_is_noticed(namespace: Namespace) -> None:
    namespace.kubectl("delete", "lease", LEASE)
    with pytest.raises(ClusterNotPrepared, match=r"the Lease .* is missing"):
        _until_noticed(namespace.account)


def test_an_account_that_is_not_fenced_is_noticed(namespace: Namespace) -> None:
    with pytest.raises(ClusterNotPrepared, match="does not fence"):
        namespace.admin.require_fence()


def test_the_fence_is_on_the_object_for_all_to_see(taken_over: TakenOver) -> None:
    found = taken_over.cluster.api.get(taken_over.cluster.path("api/v1", "configmaps", "a"))
    assert found
    assert found["metadata"]["annotations"][FENCE] == taken_over.stale


def _until_noticed(cluster: Cluster) -> None:
    """The API server hears of a deletion after a moment."""
    for _ in range(1000):
        cluster.require_fence()
