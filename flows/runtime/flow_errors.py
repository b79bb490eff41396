"""How a flow reports a `SlipwayError`: as one line in the log, and as the message of the flow's state."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

from prefect import get_run_logger
from prefect.client.schemas.objects import State, StateType
from prefect.states import Crashed, Failed

from flows.core.errors import CommitNotThere, SlipwayError, is_passing
from flows.core.trigger.attempts import NOT_THERE_YET, UNAVAILABLE
from flows.runtime.run_labels import show_reason

P = ParamSpec("P")
StateOf = Callable[[SlipwayError], State[Any]]

LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.flow_engine", "prefect.engine")
"""Loggers with which Prefect logs an error of a flow or a task."""

ENDED = (
    "The run's process was asked to end, as when its worker or its machine stops. Start the run again, "
    "unless it was restarted."
)
"""The message of a run that ends by SystemExit; Prefect's own does not say why."""


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
    """Log each `SlipwayError` in one line while the block runs."""
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
    """The flow, but a `SlipwayError` becomes the message of its Failed state, and its name says why it ended.

    Prefect would put "Flow run encountered an exception" and the error's type before the message.
    """
    return _ending(body, failed)


def is_tried_again(
    body: Callable[P, State[None]], when: Callable[[], bool] = lambda: True
) -> Callable[P, State[Any]]:
    """As `returns_failed_state`, but a run that may succeed later ends in a state after which it is started
    again: `NOT_THERE_YET` after `CommitNotThere`, `UNAVAILABLE` after an outage; only `when` that is True."""
    return _ending(body, lambda error: unavailable_or_failed(error) if when() else failed(error))


def _ending(body: Callable[P, State[None]], state_of: StateOf) -> Callable[P, State[Any]]:
    def ended(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return body(*args, **kwargs)
        except SlipwayError as error:
            get_run_logger().error(f"{type(error).__name__}: {error.with_docs}")  # it explains itself
            return state_of(error)
        except SystemExit:
            get_run_logger().error(ENDED)
            return Crashed(message=ENDED)

    @wraps(body)
    def flow(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        state = ended(*args, **kwargs)
        show_reason(state, get_run_logger().info)
        return state

    return flow


def failed(error: SlipwayError) -> State[Any]:
    """The state of a run on which a person has to act."""
    return Failed(message=_message(error), data=error)


def unavailable_or_failed(error: SlipwayError) -> State[Any]:
    """The state of a run that is started again after an outage; for other errors as `failed`."""
    if not is_passing(error):
        return failed(error)
    name = NOT_THERE_YET if isinstance(error, CommitNotThere) else UNAVAILABLE
    return State(type=StateType.CRASHED, name=name, message=_message(error), data=error)


def _message(error: SlipwayError) -> str:
    return " ".join(error.with_docs.split())
