"""Which release is live, which one is gone back to, and which records may go: tables of histories."""

import json
from datetime import timedelta

import pytest

from flows.core.errors import RecordUnreadable
from flows.core.release.record import (
    FORMAT,
    Record,
    expired,
    live,
    next_number,
    pending,
    previous_good,
    promotable,
)
from tests.support.a_record import NOON, a_record, good, superseded

BAD = a_record(3, verdict="failed")
FOUND = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
DOUBTED = good(3, degraded="answers wrong")


def number(record: Record | None) -> int | None:
    return record.number if record else None


@pytest.mark.parametrize(
    "record",
    [
        a_record(),
        a_record(is_rollback=True),
        a_record(lifts_hold=NOON),
        good(2),
        superseded(3),
        DOUBTED,
        a_record(before=(FOUND,)),
        good(2, forced="forced, although the duel found it worse: a licence"),
    ],
)
def test_a_record_is_the_same_after_json(record: Record) -> None:
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_a_record_keeps_its_content_side_by_side_as_version_0_1_did() -> None:
    kept = good(2).to_json()
    assert {name: kept[name] for name in ("commit", "committed", "capsule")} == {
        "commit": "a" * 40,
        "committed": NOON.isoformat(),
        "capsule": "c" * 64,
    }
    model = (kept["model"], kept["model_version"], kept["model_digest"])
    assert model == ("digits", "1.0.0", "sha256:" + "d" * 64)
    assert "content" not in kept


@pytest.mark.parametrize("name", ["base_digest", "code_half", "model_half"])
def test_a_record_of_before_a_part_of_the_content_was_recorded_is_read(name: str) -> None:
    kept = good(2).to_json()
    assert kept[name]
    del kept[name]
    assert getattr(Record.from_json(kept).content, name) == ""


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("pending", "pending"),
        ("good", "deployed"),
        ("bad", "failed"),
        ("undone", "rolled_back"),
        ("superseded", "superseded"),
    ],
)
def test_a_record_of_version_0_1_is_read_in_its_own_words(before: str, now: str) -> None:
    kept = a_record(5).to_json()
    del kept["degraded"], kept["is_rollback"]
    old = Record.from_json({**kept, "verdict": before, "doubt": "answers wrong", "takes_back": True})
    assert (old.verdict, old.degraded, old.is_rollback) == (now, "answers wrong", True)
    assert Record.from_json(json.loads(json.dumps(old.to_json()))) == old


def test_a_record_from_before_the_field_of_what_was_found_has_found_nothing() -> None:
    content = a_record().to_json()
    del content["before"], content["answered_wrong"]
    assert Record.from_json(content) == a_record()


def test_a_record_names_its_format() -> None:
    assert a_record().to_json()["format"] == FORMAT


def test_a_record_without_a_format_or_a_writer_is_read() -> None:
    content = a_record().to_json()
    del content["format"], content["written_by"]
    assert Record.from_json(content) == a_record()


def test_unknown_fields_of_a_record_are_ignored() -> None:
    content = a_record().to_json() | {"canary": {"weight": 10}, "later": "field"}
    assert Record.from_json(content) == a_record()


def test_a_record_of_a_newer_format_is_refused_and_says_what_to_do() -> None:
    content = a_record(7).to_json() | {
        "format": FORMAT + 1,
        "written_by": "9.0.0 (1a2b3c4)",
        "verdict": "odd",
    }
    with pytest.raises(
        RecordUnreadable, match=r"Release 7 .* newer Slipway \(9\.0\.0 \(1a2b3c4\)\)"
    ) as refused:
        Record.from_json(content)
    assert refused.value.remedy.startswith("Upgrade this checkout")


def test_a_record_of_before_there_was_a_field_for_the_hold_lifts_none() -> None:
    content = a_record().to_json()
    del content["lifts_hold"]
    assert Record.from_json(content) == a_record()


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], None),
        ([a_record(1)], None),
        ([superseded(1), good(2)], 2),
        ([superseded(1), good(2), a_record(3)], 2),
        ([superseded(1), good(2), BAD], 2),
        ([superseded(2), DOUBTED], 3),
    ],
    ids=[
        "nothing",
        "the first is under way",
        "two",
        "the third is under way",
        "the third failed",
        "degraded",
    ],
)
def test_live_is_the_newest_good_release_in_doubt_or_not(history: list[Record], expected: int | None) -> None:
    assert number(live(history)) == expected


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], None),
        ([good(1)], None),
        ([superseded(1), good(2)], 1),
        ([superseded(1), superseded(2, degraded="slow"), DOUBTED], 1),
        ([superseded(1), good(2), BAD], 1),
        ([superseded(1), superseded(2, image=good(3).image), good(3)], 1),
        ([superseded(1), superseded(2)], 2),
        ([superseded(1), a_record(2, verdict="rolled_back"), good(3)], 1),
    ],
    ids=[
        "nothing",
        "no other",
        "the one before",
        "not a degraded one",
        "a failed one above does not count",
        "not the same content again",
        "nothing is live",
        "one taken back does not count",
    ],
)
def test_a_rollback_goes_to_the_newest_other_good_release_before_the_live_one(
    history: list[Record], expected: int | None
) -> None:
    assert number(previous_good(history)) == expected


@pytest.mark.parametrize(
    ("history", "expected"),
    [([], None), ([good(1)], None), ([good(1), a_record(2)], 2), ([a_record(1), good(2)], 1)],
)
def test_the_pending_release_is_found_wherever_it_is(history: list[Record], expected: int | None) -> None:
    assert number(pending(history)) == expected


@pytest.mark.parametrize(
    ("bake", "minutes", "expected"),
    [(0, 2.5, 2), (10, 12.4, None), (10, 12.5, 2), (0.5, 2.5, 1)],
    ids=["at once", "not yet", "baked", "an earlier one was good for long enough"],
)
def test_promotable_is_what_was_good_for_so_many_minutes(
    bake: float, minutes: float, expected: int | None
) -> None:
    history = [superseded(1), good(2)]
    assert number(promotable(history, bake, NOON + timedelta(minutes=minutes))) == expected


def test_a_release_in_doubt_is_not_promoted_and_one_that_failed_neither() -> None:
    assert promotable([DOUBTED, a_record(4, verdict="failed")], 0, NOON + timedelta(hours=1)) is None


@pytest.mark.parametrize(
    ("bake", "expected"), [(0, 3), (10, 1)], ids=["the rollback itself", "before it has baked"]
)
def test_what_a_rollback_took_back_is_not_promoted_even_where_its_record_was_not_closed(
    bake: float, expected: int
) -> None:
    long_good = superseded(1, ended=NOON + timedelta(hours=1))
    history = [long_good, good(2), good(3, is_rollback=True, good_since=NOON + timedelta(hours=2))]
    assert number(promotable(history, bake, NOON + timedelta(hours=2))) == expected


def test_closing_as_good_ends_an_undoing_and_later_closing_says_when_it_ended() -> None:
    undone = a_record(undoing="crashed").closed("deployed", "it is healthy after all", NOON)
    assert (undone.verdict, undone.undoing, undone.good_since, undone.ended) == ("deployed", "", NOON, None)
    later = NOON + timedelta(minutes=7)
    ended = undone.closed("superseded", "release 2", later)
    assert (ended.good_since, ended.ended, ended.baked(later + timedelta(days=1))) == (NOON, later, 7)


def test_numbers_go_on_from_the_highest_even_where_records_are_missing() -> None:
    assert [next_number(h) for h in ([], [good(1)], [good(7), superseded(3)])] == [1, 2, 8]


def test_ten_records_are_kept_and_the_live_one_the_last_good_one_and_a_pending_one_beside_them() -> None:
    failed = [a_record(n, verdict="failed") for n in range(4, 24)]
    history = [a_record(1), superseded(2), good(3), *failed]
    assert [r.number for r in expired(history)] == list(range(13, 3, -1))


def test_of_many_good_ones_the_ten_newest_are_kept() -> None:
    history = [*(superseded(n) for n in range(1, 15)), good(15)]
    assert [r.number for r in expired(history)] == [5, 4, 3, 2, 1]


def test_what_may_not_go_further_leaves_the_promotion_to_the_one_before() -> None:
    found = promotable([good(1), good(2)], 0, NOON + timedelta(hours=1), lambda release: release.number != 2)
    assert number(found) == 1
