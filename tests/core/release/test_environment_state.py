import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flows.core.release.environment_state import KEPT, EnvironmentState, Hold, Quarantine

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HOLD = Hold(NOON, "Ada", "rolled back to release 3")


def mark(number: int, reason: str = "it crashed") -> Quarantine:
    return Quarantine(f"sha256:{number:064x}", reason, NOON + timedelta(minutes=number), f"run-{number}")


def test_notes_are_the_same_after_json() -> None:
    notes = EnvironmentState(HOLD, (mark(2), mark(1)))
    assert EnvironmentState.from_json(json.loads(json.dumps(notes.to_json()))) == notes
    assert EnvironmentState.from_json(EnvironmentState().to_json()) == EnvironmentState()


def test_an_image_has_one_mark_the_latest() -> None:
    notes = EnvironmentState().with_mark(mark(1)).with_mark(mark(2)).with_mark(mark(1, "it answers wrong"))
    assert notes.marks == (mark(1, "it answers wrong"), mark(2))
    assert notes.mark_of(mark(2).digest) == mark(2)
    assert notes.without_mark(mark(2).digest, "m").mark_of(mark(2).digest) is None


def test_a_mark_of_an_image_that_did_not_start_holds_with_the_manifests_of_then() -> None:
    crashed = replace(mark(1), manifests="m")
    notes = EnvironmentState().with_mark(crashed)
    assert notes.mark_of(crashed.digest, "m") == crashed
    assert notes.mark_of(crashed.digest, "corrected") is None
    assert notes.mark_of(crashed.digest) == crashed
    wrong = mark(1, "it answers wrong")
    both = notes.with_mark(wrong)
    assert both.marks == (wrong, crashed)
    assert both.mark_of(crashed.digest, "corrected") == wrong
    assert both.without_mark(crashed.digest, "corrected").marks == (crashed,)


def test_notes_of_a_later_version_are_read() -> None:
    content = EnvironmentState(marks=(mark(1),)).to_json()
    content["marks"][0] |= {"later": "field"}
    assert EnvironmentState.from_json(content).marks == (mark(1),)


def test_the_newest_marks_are_kept() -> None:
    notes = EnvironmentState()
    for number in range(KEPT + 5):
        notes = notes.with_mark(mark(number))
    assert [m.run for m in notes.marks] == [f"run-{number}" for number in range(KEPT + 4, 4, -1)]


def test_a_hold_comes_and_goes_without_the_marks() -> None:
    marked = EnvironmentState().with_mark(mark(1))
    held = marked.with_hold(HOLD)
    assert held == EnvironmentState(HOLD, (mark(1),))
    assert held.without_hold() == marked
