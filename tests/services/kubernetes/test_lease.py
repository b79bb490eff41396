"""One holder at a time, on a real Lease."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.core.errors import ClusterNotPrepared, ClusterUnavailable, FenceLost, LockedByAnother
from flows.services.kubernetes import lease
from flows.services.kubernetes.api import KubernetesApi
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.fence import LEASE
from flows.services.process.command import silent
from tests.services.a_namespace import Namespace, line_to
from tests.stand_ins.writing_run import writing_run
from tests.support.waiting import wait_until

SHORT = 2
"""Seconds that a Lease lasts here; long enough for a busy machine to renew it in time."""


def spec(namespace: Namespace) -> dict[str, object]:
    found = namespace.admin.api.get(namespace.admin.path("apis/coordination.k8s.io/v1", "leases", LEASE))
    assert found
    return dict(found["spec"])


def short_lived(namespace: Namespace) -> Cluster:
    return replace(namespace.account, lease_duration=SHORT)


def is_lost(held: lease.HeldLease) -> bool:
    try:
        held.require_held()
    except FenceLost:
        return True
    return False


def test_of_twenty_who_want_it_at_once_one_has_it(namespace: Namespace) -> None:
    together = threading.Barrier(20)
    all_tried = threading.Barrier(20)

    def race(number: int) -> tuple[str, bool]:
        together.wait()
        try:
            with lease.acquire(namespace.account, f"run-{number}", 0, silent) as held:
                all_tried.wait()
                return held.holder, True
        except LockedByAnother as error:
            all_tried.wait()
            return error.happened.removeprefix("Run ").partition(" ")[0], False

    with ThreadPoolExecutor(20) as racers:
        results = list(racers.map(race, range(20)))
    ((winner, _),) = [result for result in results if result[1]]
    assert sorted(results) == [(winner, False)] * 19 + [(winner, True)]


def test_a_second_run_waits_and_logs_once_for_which_and_then_gives_up(namespace: Namespace) -> None:
    said: list[str] = []
    with lease.acquire(namespace.account, "run-1", 0, silent):
        began = time.monotonic()
        with (
            pytest.raises(LockedByAnother, match="Run run-1 is at work"),
            lease.acquire(namespace.account, "run-2", 1.5, said.append),
        ):
            pytest.fail("it is held")
        assert time.monotonic() - began >= 1.5
    assert said == [f"Waiting for run run-1, which is at work on {namespace.account.namespace}."]


@pytest.mark.parametrize("ending", [None, ValueError("the release failed")])
def test_the_next_one_has_it_as_soon_as_it_is_released_however_that_was(
    namespace: Namespace, ending: Exception | None
) -> None:
    def first() -> None:
        with lease.acquire(namespace.account, "run-1", 0, silent):
            if ending:
                raise ending

    if ending:
        with pytest.raises(ValueError, match="the release failed"):
            first()
    else:
        first()
    assert "holderIdentity" not in spec(namespace)
    with lease.acquire(namespace.account, "run-2", 0, silent):
        assert spec(namespace)["holderIdentity"] == "run-2"


def test_each_acquisition_has_the_next_number_also_of_the_same_run(namespace: Namespace) -> None:
    numbers = []
    for holder in ("run-1", "run-2", "run-2"):
        with lease.acquire(namespace.account, holder, 0, silent) as held:
            numbers.append(int(held.fence.removeprefix(f"{holder}/")))
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


def test_a_killed_holder_is_followed_when_its_lease_has_expired_and_not_before(namespace: Namespace) -> None:
    with writing_run(namespace.account, "run-1", SHORT) as run:
        run.await_writes()
        run.process.kill()
        began = time.monotonic()
        with lease.acquire(namespace.account, "run-2", 30, silent):
            assert time.monotonic() - began >= SHORT


def test_a_living_holder_keeps_it_for_many_times_its_duration(namespace: Namespace) -> None:
    with (
        lease.acquire(short_lived(namespace), "run-1", 0, silent) as held,
        pytest.raises(LockedByAnother),
        lease.acquire(namespace.account, "run-2", 3 * SHORT, silent),
    ):
        pytest.fail("it is held")
    held.require_held()


def test_touching_the_lease_takes_it_from_no_run(namespace: Namespace) -> None:
    with lease.acquire(short_lived(namespace), "run-1", 0, silent) as held:
        namespace.kubectl("annotate", "lease", LEASE, "looked-at=yes")
        touched = spec(namespace)["renewTime"]
        wait_until(lambda: spec(namespace)["renewTime"] != touched, "It was not renewed")
        held.require_held()


def test_a_lease_that_was_taken_over_is_found_lost_at_the_next_renewal(namespace: Namespace) -> None:
    with lease.acquire(short_lived(namespace), "run-1", 0, silent) as held:
        namespace.kubectl(
            *("patch", "lease", LEASE, "--type=merge"),
            '--patch={"spec":{"holderIdentity":"run-2","leaseTransitions":2000000000}}',
        )

        wait_until(lambda: is_lost(held), "It does not know")
    assert spec(namespace)["holderIdentity"] == "run-2"


def test_a_lease_that_was_deleted_is_lost(namespace: Namespace) -> None:
    with lease.acquire(short_lived(namespace), "run-1", 0, silent) as held:
        namespace.kubectl("delete", "lease", LEASE)
        wait_until(lambda: is_lost(held), "It does not know")


def test_a_server_that_is_away_takes_the_lease_from_no_run(namespace: Namespace, tmp_path: Path) -> None:
    with (
        line_to(short_lived(namespace), tmp_path, stalls=True) as (line, account),
        lease.acquire(account, "run-1", 0, silent) as held,
    ):
        before = spec(namespace)["renewTime"]
        line.fall_silent()
        time.sleep(2 * SHORT)  # it is the time that is tested
        held.require_held()
        line.mend()
        wait_until(lambda: spec(namespace)["renewTime"] != before, "It was not renewed")
        held.require_held()


def test_a_server_that_is_away_for_a_while_ends_no_wait(namespace: Namespace, tmp_path: Path) -> None:
    with line_to(namespace.account, tmp_path) as (line, account), ExitStack() as first:
        first.enter_context(lease.acquire(namespace.account, "run-1", 0, silent))
        said: list[str] = []

        def hear(text: str) -> None:
            said.append(text)
            if "can't be taken yet" in text:
                line.mend()
                first.close()
            elif "Waiting for run run-1" in text:
                line.break_off()

        with lease.acquire(account, "run-2", 30, hear):
            assert spec(namespace)["holderIdentity"] == "run-2"
        assert len(said) == 2


def test_the_time_for_which_the_server_was_away_expires_no_lease(
    namespace: Namespace, tmp_path: Path
) -> None:
    held = f'{{"spec":{{"holderIdentity":"run-1","leaseDurationSeconds":{SHORT}}}}}'
    namespace.kubectl("patch", "lease", LEASE, "--type=merge", f"--patch={held}")
    with line_to(namespace.account, tmp_path) as (line, account):
        mended: list[float] = []

        def hear(text: str) -> None:
            if "Waiting for run run-1" in text:
                line.break_off()
            elif "can't be taken yet" in text:
                time.sleep(SHORT)  # it is the time that is tested
                line.mend()
                mended.append(time.monotonic())

        with lease.acquire(account, "run-2", 30, hear):
            assert time.monotonic() - mended[0] >= SHORT


def test_a_server_that_is_away_at_the_end_is_asked_again_until_the_lease_is_released(
    namespace: Namespace, tmp_path: Path
) -> None:
    said: list[str] = []
    with line_to(namespace.account, tmp_path) as (line, account):

        def hear(text: str) -> None:
            said.append(text)
            line.mend()

        with lease.acquire(account, "run-1", 0, hear):
            line.break_off()
    assert "holderIdentity" not in spec(namespace)
    assert len(said) == 1
    assert f"The Lease of {account.namespace} can't be released yet" in said[0]


def test_a_lease_that_can_not_be_released_expires_by_itself(namespace: Namespace, tmp_path: Path) -> None:
    said: list[str] = []
    with line_to(short_lived(namespace), tmp_path) as (line, account):
        with lease.acquire(account, "run-1", 0, said.append):
            line.break_off()
        assert "It expires by itself" in said[-1]
        assert spec(namespace)["holderIdentity"] == "run-1"
        line.mend()
        with lease.acquire(account, "run-2", 30, silent):
            assert spec(namespace)["holderIdentity"] == "run-2"


def test_a_lease_whose_taking_was_not_answered_is_taken_again(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def lose_the_first(api: KubernetesApi, *arguments: Any) -> dict[str, Any] | None:
        answer = put(api, *arguments)
        if answer:
            written.append(answer["spec"]["leaseTransitions"])
        if len(written) == 1:
            raise api.away("the answer was lost")
        return answer

    put = KubernetesApi.replace
    monkeypatch.setattr(KubernetesApi, "replace", lose_the_first)
    with lease.acquire(namespace.account, "run-1", 0, silent) as held:
        assert held.fence == f"run-1/{written[0] + 1}"


def test_a_server_that_stays_away_is_an_error_also_of_a_run_that_waits_for_no_other(
    namespace: Namespace, tmp_path: Path
) -> None:
    with line_to(namespace.account, tmp_path) as (line, account):
        line.break_off()
        began = time.monotonic()
        with pytest.raises(ClusterUnavailable), lease.acquire(account, "run-1", 0, silent, patience=2):
            pytest.fail("it can't be reached")
        assert time.monotonic() - began >= 2


def test_without_a_lease_nothing_is_held(namespace: Namespace) -> None:
    namespace.kubectl("delete", "lease", LEASE)
    with (
        pytest.raises(ClusterNotPrepared, match=r"has no Lease.*deployments\.cluster\.bootstrap"),
        lease.acquire(namespace.account, "run-1", 0, silent),
    ):
        pytest.fail("there is none")
