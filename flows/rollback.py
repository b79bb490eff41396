"""Rollback: restore an earlier good release, and hold the environment there."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.core.errors import ReleaseRefused
from flows.core.release import record as records
from flows.core.release.endpoint import is_whole
from flows.core.release.record import Record
from flows.core.trigger.run_labels import (
    commit_tag,
    environment_tag,
    model_tag,
    release_name,
    restart_key,
    to_tag,
)
from flows.procedures.deploy import deploy, environment_lock
from flows.procedures.reconcile import reconcile
from flows.runtime import artifacts, tasks
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import asked_by, run_context, this_run
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show
from flows.stages.context import RunContext


@flow(name="rollback", flow_run_name="{environment} ← back")
@returns_failed_state
def rollback(environment: str, reason: str, release: int | None = None, by: str = "") -> State[None]:
    """Go back to the release before, or to that number, and hold the environment there.

    A release that was cut off is undone first; a rollback that was cut off is finished if possible. Without a
    number, that is the rollback already.

    The nightly release skips the environment until a person lifts the hold (`resume`) or releases something
    newer, also if the rollback failed and what was live is live again.

    Args:
        environment: one of those in slipway.toml.
        reason: why; the nightly release shows it.
        release: the number of a release that was good; by default the one before what is live.
        by: who asks, as Prefect does not know.
    """
    report = Rows()
    with run_context("rollback", report) as run:
        report |= {"environment": environment, "reason": reason, "asked by": asked_by(by)}
        wait = run.settings.environment(environment).lock_wait
        show(run, None, environment_tag(environment))
        # a certificate that expires soon must not stop a rollback
        tasks.check_endpoint(run, environment, None, is_rollback=True, valid_for=timedelta())
        with environment_lock(run, environment, wait) as lock:
            left = tasks.find_pending(run, environment)
            mended = reconcile(run, lock, is_wanted=lambda record: record.is_rollback)
            snapshot = tasks.observe(run, environment)
            history = snapshot.history
            if release is None and (is_the_rollback(left, history) or was_done(history)):
                tasks.hold(run, lock, asked_by(by), f"rolled back: {reason}")
                artifacts.update_history_page(run, environment)
                seen = mended or f"{records.live(history)} was in force already."
                return Completed(message=f"{seen} {environment} is held: {reason}.")
            target = choose(history, release)
            name_run(run, environment, target)
            tasks.hold(run, lock, asked_by(by), f"rollback to {target.content}: {reason}")
            back = copy_for_rollback(target, records.next_number(history), run, asked_by(by), reason)
            report |= {"from": records.live(history) or "nothing", "to": target, "release": back.number}
            tasks.find_examples(run, back, records.live(history))
            back = replace(back, before=tasks.find_before(run, environment, back.objects))
            tasks.write_record(run, lock, back)
            served = is_whole(snapshot.live)
            report["proof"] = deploy(run, lock, back, back.asked_for, was_served=served)
        return Completed(message=f"{environment} runs {target.content} again, and is held: {reason}.")


def is_the_rollback(left: Record | None, history: tuple[Record, ...]) -> bool:
    """Whether the rollback is done already with what became of `left`, the record of a run that was cut off.

    It is done if `left` was a release and was undone, or was a rollback and was finished.
    """
    live = records.live(history)
    was_finished = left is not None and live is not None and live.number == left.number
    return left is not None and left.is_rollback == was_finished


def was_done(history: tuple[Record, ...]) -> bool:
    """Whether this run replaces one that counted as crashed after it had rolled back."""
    this, live = this_run(), records.live(history)
    return bool(this and live and live.is_rollback and this.idempotency_key == restart_key(live.run))


def name_run(run: RunContext, environment: str, target: Record) -> None:
    """Name and tag the run: what is restored, and which release it was before."""
    content = target.content
    name = f"{release_name({environment: str(content)})} (back to release {target.number})"
    model = model_tag(content.model.name, content.model.version)
    show(run, name, commit_tag(content.commit), model, to_tag(environment, str(content)))


def copy_for_rollback(target: Record, number: int, run: RunContext, by: str, reason: str) -> Record:
    """A new record with the image and the objects of an earlier one."""
    return replace(
        target,
        number=number,
        run=run.id,
        asked_by=by,
        asked_for=f"rollback to release {target.number}: {reason}",
        started=datetime.now(UTC),
        verdict="pending",
        is_rollback=True,
        lifts_hold=None,
        answered_wrong=False,
        before=(),
        reason="",
        good_since=None,
        ended=None,
    )


def choose(history: tuple[Record, ...], number: int | None) -> Record:
    """The release to go back to; `ReleaseRefused` lists those there are."""
    live = records.live(history)
    good = [r for r in records.newest_first(history) if r.was_good and r != live]
    if number is None:
        found = records.previous_good(history)
    else:
        found = next((r for r in good if r.number == number), None)
    if found is None:
        listed = ", ".join(f"{r.number} ({r.content})" for r in good)
        raise ReleaseRefused(
            "There is no good release to roll back to."
            if number is None
            else f"Release {number} was never good here, is live already, or is no longer known.",
            f"Name one of the good releases before the live one: {listed}."
            if good
            else "Release another image: no release before the live one was good.",
        )
    return found
