"""The app's Deployment and the other Deployments and Jobs of a release, judged together."""

from collections.abc import Sequence
from dataclasses import replace

from flows.core.errors import Fault
from flows.core.rollout.containers import containers
from flows.core.rollout.faults import failure_of, most_certain
from flows.core.rollout.judge import judge
from flows.core.rollout.room import on_its_way
from flows.core.rollout.snapshot import Object, Snapshot, conditions, new_pods
from flows.core.rollout.verdict import Done, Failed, Progressing, RolloutState

WATCHED = ("Deployment", "Job")
"""Kinds that a rollout waits for. A CronJob is in force once the server has accepted it: what it runs later
is not part of the release."""


def is_watched(item: Object) -> bool:
    """Whether a rollout waits for that object of the release."""
    return item["kind"] in WATCHED


def title(snapshot: Snapshot) -> str:
    """Kind and name of what the snapshot is of, such as "Deployment worker"."""
    deployment = snapshot.deployment
    return f"{deployment.get('kind', 'Deployment')} {deployment['metadata']['name']}"


def judge_each(snapshots: Sequence[Snapshot]) -> list[RolloutState]:
    """The state of each: of a Deployment's rollout, or of a Job."""
    return [judge_job(one) if one.deployment.get("kind") == "Job" else judge(one) for one in snapshots]


def together(app: RolloutState, others: Sequence[tuple[str, RolloutState]]) -> RolloutState:
    """One state of the app's and of those of the others, by title: failed once one is, done once all are.

    A node that comes for the pods of one may have room for another's, but the event is about one alone.
    """
    states = [("", app), *others]
    coming = next((s.coming for _, s in states if isinstance(s, Progressing) and s.coming), "")
    failed = (_named(name, state) for name, state in states if isinstance(state, Failed))
    if worst := most_certain(state for state in failed if not (coming and state.for_room)):
        return worst
    waiting = [_waiting(name, state) for name, state in states if not isinstance(state, Done)]
    if waiting:
        text = "; ".join(one.waiting for one in waiting)
        return Progressing(text, waiting[0].fault, coming)
    return app


def judge_job(snapshot: Snapshot) -> RolloutState:
    """The state of a Job: done once it has completed. A suspended one is not waited for: a person starts it.

    After a crash, the Job itself tries again, as often as its `backoffLimit` says.
    """
    job = snapshot.deployment
    if job["spec"].get("suspend"):
        return Done(0)
    ended = {c["type"]: c for c in conditions(job) if c["status"] == "True"}
    if "Complete" in ended:
        return Done(0)
    if "Failed" in ended:
        return _failed_job(snapshot, str(ended["Failed"].get("message") or ended["Failed"].get("reason")))
    coming = on_its_way(snapshot)
    failed = failure_of(new_pods(snapshot), snapshot, retried=True)
    if failed and not (coming and failed.for_room):
        return failed
    crashes = job.get("status", {}).get("failed", 0)
    tried = f", failed {crashes} time{'' if crashes == 1 else 's'} so far" if crashes else ""
    return Progressing(f"not completed yet{tried}", _fault_of_job(snapshot), coming)


def _failed_job(snapshot: Snapshot, said: str) -> Failed:
    ended = [(pod, c) for pod in snapshot.pods for c in containers(pod) if c.crash.get("exitCode")]
    cause = f"it failed: {said.rstrip('.')}"
    if not ended:
        return Failed(cause, fault="configuration")
    pod, container = ended[-1]
    fault: Fault = "image" if snapshot.runs_released(container.name) else "configuration"
    return Failed(cause, pod["metadata"]["name"], fault, container=container.name)


def _fault_of_job(snapshot: Snapshot) -> Fault:
    """What is at fault if the Job does not end in time: the image where it runs."""
    running = [c for pod in snapshot.pods for c in containers(pod) if c.state.get("running")]
    ours = any(snapshot.runs_released(container.name) for container in running)
    return "image" if ours else "configuration" if running else "infrastructure"


def _named(name: str, state: Failed) -> Failed:
    return replace(state, cause=f"{name}: {state.cause}") if name else state


def _waiting(name: str, state: Progressing | Failed) -> Progressing:
    """The state as something that is waited for, with its title."""
    text = state.cause if isinstance(state, Failed) else state.waiting
    return Progressing(f"{name}: {text}" if name else text, state.fault)
