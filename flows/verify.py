"""Verify: check what is live as after its release."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.config.load import EVERY
from flows.core.errors import (
    EdgeNotInOrder,
    LockedByAnother,
    ProofFailed,
    RolloutFailed,
    SlipwayError,
    raise_all,
)
from flows.core.release import record as records
from flows.core.release.record import Record
from flows.core.trigger.run_labels import environment_tag, verify_name
from flows.procedures.deploy import environment_lock, one_lease_period
from flows.runtime import artifacts, tasks
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock


@flow(name="verify", flow_run_name="{environment}: verify")
@returns_failed_state
def verify(environment: str = EVERY) -> State[None]:
    """Verify what is live again. A release that fails is degraded: it promotes nothing until it passes again.

    Nothing else changes: no release is undone by this. The run also fails if only the infrastructure is at
    fault, but then the release stays good while any replica is ready.

    Args:
        environment: one of those in slipway.toml, or `every`.
    """
    report = Rows()
    with run_context("verify", report) as run:
        names = list(run.settings.environments) if environment == EVERY else [environment]
        failures: list[SlipwayError] = []
        seen: dict[str, str] = {}
        found: dict[str, str] = {}
        for name in names:
            try:
                report[name] = found[name] = verify_one(run, name, seen)
            except SlipwayError as failure:  # a failure does not stop the check of the others
                report[name] = failure
                failures.append(failure)
        raise_all(failures)
        return Completed(message=" ".join(f"{name}: {one}." for name, one in found.items()))


def verify_one(run: RunContext, environment: str, seen: dict[str, str]) -> str:
    """What was found; a failed check degrades the release, a passed one ends that.

    Replicas are checked before the endpoint: if all are down, the load balancer accepts no connection. The
    content that is live is added to `seen`, of which the run's name is made.
    """
    try:
        with environment_lock(run, environment, one_lease_period(run)) as lock:
            snapshot = tasks.observe(run, environment)
            history = snapshot.history
            if (left := records.pending(history)) is not None:
                return f"not now: {left} was left in the middle, which `recover` ends"
            live = records.live(history)
            if live is None:
                return "nothing is live"
            if snapshot.live is not None and snapshot.live.asleep:
                return f"not now: scaled to zero by {snapshot.live.asleep}"
            seen[environment] = str(live.content)
            show(run, verify_name(seen), environment_tag(environment))
            try:
                tasks.require_whole(run, lock, live)
                tasks.verify_endpoint(run, environment)
                proof = tasks.verify_replicas(run, lock, live)
            except (EdgeNotInOrder, ProofFailed, RolloutFailed) as failure:
                record_check(run, lock, live, failure)
                raise
            record_check(run, lock, live)
            return f"{live} is good: {proof}"
    except LockedByAnother as other:
        return f"not now: {other.happened}"


def record_check(
    run: RunContext, lock: EnvironmentLock, live: Record, failure: SlipwayError | None = None
) -> None:
    """Write the result of a check into record and history page, if it differs from the check before."""
    if tasks.mark_degraded(run, lock, live, failure):
        artifacts.update_history_page(run, lock.environment)
