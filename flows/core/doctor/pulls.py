"""Whether the nodes could pull the last time that a release needed it, as the environment's records say."""

from collections.abc import Iterable

from flows.core.release.record import Record
from flows.core.rollout.faults import REFUSED


def last_pull(history: Iterable[Record]) -> Record | None:
    """The newest release whose image the nodes pulled, or were refused; None where there is none.

    `history` has the newest first. A release that was good once was pulled; one that failed by something else
    before says nothing.
    """
    return next((one for one in history if one.good_since is not None or was_refused(one)), None)


def was_refused(record: Record) -> bool:
    """Whether the release ended because the registry did not let the nodes pull."""
    return REFUSED in record.reason
