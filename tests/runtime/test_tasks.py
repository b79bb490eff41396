"""The table of tasks, without a Prefect server."""

import time

from prefect import Task
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from flows.core.errors import ClusterUnavailable, CredentialsRefused, RegistryUnavailable
from flows.runtime import tasks
from flows.stages import ci, release, undo

POLLING = {
    release.watch_rollout,
    release.verify_replicas,
    release.await_endpoint,
    release.require_whole,
    release.soak,
    undo.watch_removal,
}
"""Stages that look again and again until something has come about."""

AS_LONG_AS_SET = POLLING | {ci.run_tests, ci.smoke_test, ci.push_image}
"""Stages whose length is a setting, or follows from replicas and their answers: each ends by itself."""


def table() -> dict[str, Task[..., object]]:
    return {name: value for name, value in vars(tasks).items() if isinstance(value, Task)}


def test_a_stage_that_polls_has_one_try_as_it_waits_out_an_absent_server_itself() -> None:
    polling = {name: task for name, task in table().items() if task.fn.__wrapped__ in POLLING}  # type: ignore[attr-defined] # functools.wraps sets it
    assert {"watch_rollout", "undo_watch_rollout", "watch_removal", "soak"} < polling.keys()
    assert {name: task.retries for name, task in polling.items() if task.retries} == {}


def test_a_stage_is_tried_again_after_a_system_was_away_and_after_nothing_else() -> None:
    tried_again = {name: task for name, task in table().items() if task.retries}
    assert {"observe", "push_image"} < tried_again.keys()
    assert {task.retry_condition_fn for task in tried_again.values()} == {tasks.may_pass}
    run = TaskRun(task_key="any", dynamic_key="any")
    assert tasks.may_pass(None, run, Failed(data=ClusterUnavailable("No answer.")))
    assert not tasks.may_pass(None, run, Failed(data=CredentialsRefused("No.", "Sign in.")))


def test_a_throttled_system_is_left_alone_as_long_as_it_asks_for() -> None:
    run, began = TaskRun(task_key="any", dynamic_key="any"), time.monotonic()
    assert tasks.may_pass(None, run, Failed(data=RegistryUnavailable("429.", retry_after=0.3)))
    assert time.monotonic() - began >= 0.3


def test_a_task_is_called_what_its_stage_and_its_name_in_the_table_say() -> None:
    named = {name: task.name for name, task in table().items()}
    assert named == {name: name.replace("undo_", "undo: ", 1).replace("_", " ") for name in named}
    assert len(set(named.values())) == len(named)


def test_no_setting_outgrows_a_time_out_as_what_is_as_long_as_set_has_none() -> None:
    limited = {name: task for name, task in table().items() if task.timeout_seconds is not None}
    assert [name for name, task in limited.items() if task.fn.__wrapped__ in AS_LONG_AS_SET] == []  # type: ignore[attr-defined] # functools.wraps sets it
