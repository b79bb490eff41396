"""The last pull that a release saw: the records tell it, where they can."""

from flows.core.doctor.pulls import last_pull, was_refused
from flows.core.rollout.faults import REFUSED
from tests.support.a_record import NOON, a_record, good, superseded

REFUSAL = f"The rollout fails: {REFUSED} registry.test/app: check the pull secret."


def test_a_release_that_was_good_was_pulled() -> None:
    record = last_pull([good(2), superseded(1)])
    assert record is not None
    assert (record.number, was_refused(record)) == (2, False)


def test_a_release_that_was_refused_counts_until_a_later_one_is_good() -> None:
    records = [a_record(2).closed("rolled_back", REFUSAL, NOON), good(1)]
    record = last_pull(records)
    assert record is not None
    assert (record.number, was_refused(record)) == (2, True)
    assert last_pull([good(3), *records]) == good(3)


def test_a_release_that_failed_by_something_else_or_is_under_way_says_nothing() -> None:
    assert last_pull([a_record(2), a_record(1).closed("failed", "A probe failed.", NOON)]) is None
    assert last_pull([]) is None
