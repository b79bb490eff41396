"""The history pages of environments and branches."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from flows.core.release.history_page import branch_key, branch_page, environment_page
from tests.support.a_record import a_record, good, superseded

BERLIN = ZoneInfo("Europe/Berlin")


def link(run: str) -> str:
    return f"http://prefect/runs/{run}"


def test_what_is_live_is_shown_with_when_why_by_whom_and_the_run() -> None:
    page = environment_page(
        "production", [good(2, asked_by="Ada", asked_for="a | demo"), superseded(1)], link, BERLIN
    )
    assert page.headline == "production runs aaaaaaa + digits 1.0.0 as release 2"
    for part in (
        "| live since | 2026-05-04 14:02 |",
        "| asked by | Ada |",
        "| because | a \\| demo |",
        "| run | [run-2](http://prefect/runs/run-2) |",
    ):
        assert part in page.text


def test_those_before_and_those_that_failed_are_listed_newest_first() -> None:
    failed = a_record(3).closed("failed", "keeps crashing", a_record(3).started)
    text = environment_page("production", [superseded(1), failed, good(2)], link, UTC).text
    assert (
        "| 3 | aaaaaaa + digits 1.0.0 | 2026-05-04 12:03 | 2026-05-04 12:03 | failed, keeps crashing |"
        in text
    )
    assert text.index("| 3 |") < text.index("| 1 |")
    assert "| 2 |" not in text


def test_an_environment_in_which_nothing_is_live_says_so() -> None:
    assert environment_page("production", [], link, UTC).text == "# Nothing is live in production"


def test_a_verdict_names_the_branch_and_links_to_its_run() -> None:
    page = branch_page("main", "failed: 1 of 3 tests", {"commit": "4f2c9e1"}, link("run-1"))
    assert page.headline == "failed: 1 of 3 tests"
    assert page.text.startswith("# main: failed: 1 of 3 tests\n")
    assert "| commit | 4f2c9e1 |\n| run | [this one](http://prefect/runs/run-1) |" in page.text


@pytest.mark.parametrize(
    ("branch", "key"),
    [
        ("main", "ci-main"),
        ("release-2", "ci-release-2"),
        ("feature/a", "ci-feature-a-951d42"),
        ("feature_a", "ci-feature-a-14d425"),
        ("Main", "ci-main-eb814b"),
        ("ÄÖ", "ci-de7254"),
    ],
)
def test_each_branch_has_a_key_of_its_own_that_prefect_allows(branch: str, key: str) -> None:
    assert branch_key(branch) == key


def test_an_image_that_was_forced_into_latest_is_shown_as_such_while_it_is_live_and_later() -> None:
    how = "forced, although the duel found it worse: a licence"
    live = environment_page("production", [good(2, forced=how)], link, UTC).text
    assert f"| its duel | {how} |" in live
    later = environment_page("production", [good(3), superseded(2, forced=how)], link, UTC).text
    assert f"| latest ({how}) |" in later
