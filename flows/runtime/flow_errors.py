"""How a flow that ends with an error of ours reports it: in its own words, on one line, in log and state."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

from prefect import get_run_logger
from prefect.client.schemas.objects import State, StateType
from prefect.states import Failed

from flows.core.errors import CommitNotThere, SlipwayError
from flows.runtime.run_labels import show_reason

P = ParamSpec("P")


NOT_THERE_YET = "NotThereYet"
"""The state of a run whose commit was announced and has not arrived in any of its tries: the repository may
lag for longer than a run should hold a place. Its type is that of a crash, after which a trigger starts the
commit again; as its name is another, no notification is sent."""


LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.flow_engine", "prefect.engine")
"""What Prefect logs an error of a flow or a task with."""


class OneLine(logging.Filter):
    """Leave the traceback out if the error itself says what happened and what to do."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass; shorten those of our own errors."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, SlipwayError):
            record.msg, record.args, record.exc_info = f"{type(error).__name__}: {error}", None, None
        return True


@contextmanager
def errors_on_one_line() -> Iterator[None]:
    """Log errors of ours in one line while the block runs."""
    shortened = OneLine()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    for logger in loggers:
        logger.addFilter(shortened)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(shortened)


def returns_failed_state(body: Callable[P, State[None]]) -> Callable[P, State[Any]]:
    """The flow, whose last state says what the error says and nothing else, as does the list of runs.

    Prefect would put "Flow run encountered an exception" and the error's type before it. The error's type
    decides the state: `NOT_THERE_YET` after `CommitNotThere`, else `Failed`.
    """

    def ended(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return body(*args, **kwargs)
        except SlipwayError as error:
            get_run_logger().error(f"{type(error).__name__}: {error.with_docs}")  # it explains itself
            return _state_of(error)

    @wraps(body)
    def flow(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        state = ended(*args, **kwargs)
        show_reason(state, get_run_logger().info)
        return state

    return flow


def _state_of(error: SlipwayError) -> State[Any]:
    message = " ".join(error.with_docs.split())
    if isinstance(error, CommitNotThere):
        return State(type=StateType.CRASHED, name=NOT_THERE_YET, message=message, data=error)
    return Failed(message=message, data=error)
