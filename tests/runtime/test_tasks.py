"""The table of tasks, without a Prefect server."""

from prefect import Task

from flows.runtime import tasks
from flows.stages import release, undo

POLLING = {
    release.watch_rollout,
    release.verify_replicas,
    release.verify_live,
    release.soak,
    undo.watch_removal,
}
"""Stages that look again and again until something has come about."""


def table() -> dict[str, Task[..., object]]:
    return {name: value for name, value in vars(tasks).items() if isinstance(value, Task)}


def test_a_stage_that_polls_has_one_try_as_it_waits_out_an_absent_server_itself() -> None:
    polling = {name: task for name, task in table().items() if task.fn.__wrapped__ in POLLING}  # type: ignore[attr-defined] # functools.wraps sets it
    assert {"watch_rollout", "undo_watch_rollout", "watch_removal", "soak"} < polling.keys()
    assert {name: task.retries for name, task in polling.items() if task.retries} == {}


def test_a_task_is_called_what_its_stage_and_its_name_in_the_table_say() -> None:
    named = {name: task.name for name, task in table().items()}
    assert named == {name: name.replace("undo_", "undo: ", 1).replace("_", " ") for name in named}
    assert len(set(named.values())) == len(named)
