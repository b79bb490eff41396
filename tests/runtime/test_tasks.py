"""The table of tasks, without a Prefect server."""

from prefect import Task

from flows.runtime import tasks
from flows.stages import release, undo

POLLING = {
    release.watch_rollout,
    release.prove,
    release.verify,
    release.soak_release,
    undo.watch_removal,
}
"""Stages that look again and again until something has come about."""


def table() -> dict[str, Task[..., object]]:
    return {name: value for name, value in vars(tasks).items() if isinstance(value, Task)}


def test_a_stage_that_polls_has_one_try_as_it_waits_out_an_absent_server_itself() -> None:
    polling = {name: task for name, task in table().items() if task.fn.__wrapped__ in POLLING}  # type: ignore[attr-defined] # functools.wraps sets it
    assert {"watch_rollout", "watch_undo", "watch_removal", "soak"} < polling.keys()
    assert {name: task.retries for name, task in polling.items() if task.retries} == {}
