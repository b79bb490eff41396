"""Verify: the proof of a release, asked again of what is live."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.config.load import EVERY
from flows.core.errors import LockedByAnother, ProofFailed, RolloutFailed, SlipwayError, raise_all
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
    """Ask what is live for its proof again. Nothing is promoted from what fails, until it passes again.

    It changes nothing else: a release that was good once is not undone by it.

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
            except SlipwayError as failure:  # one keeps none of the others from being looked at
                report[name] = failure
                failures.append(failure)
        raise_all(failures)
        return Completed(message=" ".join(f"{name}: {one}." for name, one in found.items()))


def verify_one(run: RunContext, environment: str, seen: dict[str, str]) -> str:
    """What was found; a failure takes the good verdict away, a pass gives it back.

    `seen` takes what is live, and names the run.
    """
    try:
        with environment_lock(run, environment, one_lease_period(run)) as lock:
            history = tasks.observe(run, environment).history
            if (left := records.pending(history)) is not None:
                return f"not now: {left} was left in the middle, which `recover` ends"
            live = records.live(history)
            if live is None:
                return "nothing is live"
            seen[environment] = str(live.content)
            show(run, verify_name(seen), environment_tag(environment))
            try:
                tasks.check_endpoint(run, environment)
                proof = tasks.verify_live(run, lock, live)
            except (ProofFailed, RolloutFailed) as failure:
                record_doubt(run, lock, live, failure.happened)
                raise
            record_doubt(run, lock, live, "")
            return f"{live} is good: {proof}"
    except LockedByAnother as other:
        return f"not now: {other.happened}"


def record_doubt(run: RunContext, lock: EnvironmentLock, live: Record, found: str) -> None:
    """Where a proof has found anything else than the one before, records and ledger say so."""
    if tasks.mark_degraded(run, lock, live, found):
        artifacts.update_history_page(run, lock.environment)
