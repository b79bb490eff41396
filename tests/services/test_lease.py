"""One holder at a time, on a real Lease."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.local.engine import connect
from deployments.local.instance import Instance
from deployments.local.polling import wait_until
from flows.core.errors import ClusterNotPrepared, FenceLost, LockedByAnother
from flows.services import lease
from flows.services.command import silent
from tests.services.a_namespace import Namespace
from tests.stand_ins.writing_run import writing_run

SHORT = 2
"""Seconds that a Lease lasts here; long enough for a busy machine to renew it in time."""


def spec(namespace: Namespace) -> dict[str, object]:
    found = namespace.admin.api.get(namespace.admin.path("apis/coordination.k8s.io/v1", "leases", lease.NAME))
    assert found
    return dict(found["spec"])


def is_lost(held: lease.Held) -> bool:
    try:
        held.check()
    except FenceLost:
        return True
    return False


def test_of_twenty_who_want_it_at_once_one_has_it(namespace: Namespace) -> None:
    together = threading.Barrier(20)
    all_tried = threading.Barrier(20)

    def race(number: int) -> tuple[str, bool]:
        together.wait()
        try:
            with lease.hold(namespace.account, f"run-{number}", 0, silent) as held:
                all_tried.wait()
                return held.holder, True
        except LockedByAnother as error:
            all_tried.wait()
            return error.holder, False

    with ThreadPoolExecutor(20) as racers:
        results = list(racers.map(race, range(20)))
    ((winner, _),) = [result for result in results if result[1]]
    assert sorted(results) == [(winner, False)] * 19 + [(winner, True)]


def test_a_second_run_waits_and_is_told_once_for_whom_and_then_gives_up(namespace: Namespace) -> None:
    said: list[str] = []
    with lease.hold(namespace.account, "run-1", 0, silent):
        began = time.monotonic()
        with (
            pytest.raises(LockedByAnother, match="Run run-1 is at work") as raised,
            lease.hold(namespace.account, "run-2", 1.5, said.append),
        ):
            pytest.fail("it is held")
        assert 1.5 <= time.monotonic() - began < 3
    assert raised.value.holder == "run-1"
    assert said == [f"Waiting for run run-1, which is at work on {namespace.account.namespace}."]


@pytest.mark.parametrize("ending", [None, ValueError("the release failed")])
def test_the_next_one_has_it_as_soon_as_it_is_released_however_that_was(
    namespace: Namespace, ending: Exception | None
) -> None:
    def first() -> None:
        with lease.hold(namespace.account, "run-1", 0, silent):
            if ending:
                raise ending

    if ending:
        with pytest.raises(ValueError, match="the release failed"):
            first()
    else:
        first()
    assert "holderIdentity" not in spec(namespace)
    with lease.hold(namespace.account, "run-2", 0, silent):
        assert spec(namespace)["holderIdentity"] == "run-2"


def test_each_acquisition_has_the_next_number_also_of_the_same_run(namespace: Namespace) -> None:
    numbers = []
    for holder in ("run-1", "run-2", "run-2"):
        with lease.hold(namespace.account, holder, 0, silent) as held:
            numbers.append(int(held.fence.removeprefix(f"{holder}/")))
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


def test_a_killed_holder_is_followed_when_its_lease_has_expired_and_not_before(namespace: Namespace) -> None:
    with writing_run(namespace.account, "run-1", SHORT) as run:
        run.await_writes()
        run.process.kill()
        began = time.monotonic()
        with lease.hold(namespace.account, "run-2", 30, silent):
            assert SHORT <= time.monotonic() - began < SHORT + 2


def test_a_living_holder_keeps_it_for_many_times_its_duration(namespace: Namespace) -> None:
    with (
        lease.hold(namespace.account, "run-1", 0, silent, duration=SHORT) as held,
        pytest.raises(LockedByAnother),
        lease.hold(namespace.account, "run-2", 3 * SHORT, silent),
    ):
        pytest.fail("it is held")
    held.check()


def test_whoever_touches_the_lease_takes_it_from_nobody(namespace: Namespace) -> None:
    with lease.hold(namespace.account, "run-1", 0, silent, duration=SHORT) as held:
        namespace.kubectl("annotate", "lease", lease.NAME, "looked-at=yes")
        touched = spec(namespace)["renewTime"]
        wait_until(lambda: spec(namespace)["renewTime"] != touched, 10, "It was not renewed")
        held.check()


def test_a_lease_that_was_taken_over_is_found_lost_at_the_next_renewal(namespace: Namespace) -> None:
    with lease.hold(namespace.account, "run-1", 0, silent, duration=SHORT) as held:
        namespace.kubectl(
            *("patch", "lease", lease.NAME, "--type=merge"),
            '--patch={"spec":{"holderIdentity":"run-2","leaseTransitions":2000000000}}',
        )

        wait_until(lambda: is_lost(held), 10, "It does not know")
    assert spec(namespace)["holderIdentity"] == "run-2"


def test_a_lease_that_was_deleted_is_lost(namespace: Namespace) -> None:
    with lease.hold(namespace.account, "run-1", 0, silent, duration=SHORT) as held:
        namespace.kubectl("delete", "lease", lease.NAME)
        wait_until(lambda: is_lost(held), 10, "It does not know")


def test_a_server_that_is_away_takes_the_lease_from_nobody(namespace: Namespace, instance: Instance) -> None:
    server = connect().containers.get(instance.container("control-plane"))
    with lease.hold(namespace.account, "run-1", 0, silent, duration=SHORT) as held:
        before = spec(namespace)["renewTime"]
        server.pause()
        try:
            time.sleep(2 * SHORT)  # it is the time that is tested
            held.check()
        finally:
            server.unpause()
        wait_until(lambda: spec(namespace)["renewTime"] != before, 30, "It was not renewed")
        held.check()


def test_without_a_lease_nothing_is_held(namespace: Namespace) -> None:
    namespace.kubectl("delete", "lease", lease.NAME)
    with (
        pytest.raises(ClusterNotPrepared, match=r"has no Lease.*deployments\.bootstrap"),
        lease.hold(namespace.account, "run-1", 0, silent),
    ):
        pytest.fail("there is none")
