"""What a report says of a duel, and what becomes of `latest`."""

from dataclasses import replace

import pytest

from flows.core.duel.duel import Duel, NoDuel, forced_past, golden_set_changed, identity, kept_because
from flows.core.duel.live import LiveImage, variable_of
from flows.core.duel.verdict import Verdict
from flows.core.errors import PermanentError
from tests.core.duel.duels import duel, golden_set

KEEPING = (Verdict.WORSE, Verdict.SLOWER)
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("held", "verdict", "meaning"),
    [
        (duel(), "not worse", "is not worse than what is live, within the margin of 2 points"),
        (duel(won=12), "better", "is better than what is live"),
        (duel(lost=30, won=3), "worse", "is worse than what is live, by more than 2 points"),
        (duel(lost=15, won=3), "worse", "is worse than what is live, maybe by more than 2 points"),
        (
            duel(lost=30, won=10, examples=5000),
            "worse, but within the margin",
            "is worse than what is live, but within the margin of 2 points",
        ),
        (duel(10, 10, 100), "too few to tell", "about 4040 examples are needed"),
        (
            duel(slower=1.5),
            "slower",
            "more slowly than what is live, by the median of its answer times: 1.50",
        ),
    ],
)
def test_a_verdict_and_what_it_means(held: Duel, verdict: str, meaning: str) -> None:
    assert held.verdict == verdict
    assert meaning in held.meaning()


def test_a_duel_in_one_line() -> None:
    assert str(duel(lost=30, won=3)) == (
        "worse: 94.0 % right instead of 99.4 %, 30 lost and 3 won of 500, "
        "against 5a2f01c + birds 1.0.0, live in production"
    )


def test_the_facts_of_a_duel() -> None:
    facts = dict(duel(lost=30, won=3, notes=("two labels were left out",)).facts())
    assert facts["golden set"].startswith("birds 1, sha256:")
    assert facts["candidate"] == "5a2f01c + birds 1.1.0: 94.0 % right"
    assert facts["examples"] == "500, in 12 s"
    assert facts["right"] == "both 467, what is live alone 30, the candidate alone 3, neither 0"
    assert facts["difference"] == "-5.4 points, with 95 % confidence -7.6 points to -3.2 points"
    assert facts["chance"].startswith("equal models differ so much in less than 0.01 % of duels")
    assert facts["margin"] == "2 points; it needs about 1329 examples"
    assert facts["answer times"] == "1.00 times those of what is live; the margin is 1.15"
    assert facts["answers that changed"] == "33"
    assert facts["note"] == "two labels were left out"
    assert "answers that failed" not in facts


def test_a_worse_image_keeps_latest_and_the_reason_says_how_to_override_it() -> None:
    worse = duel(lost=30, won=3)
    kept = kept_because(worse, KEEPING, "")
    assert kept.startswith("the duel found it worse: 94.0 % right instead of 99.4 %")
    assert "`slipway ci --force REASON` overrides that" in kept
    assert forced_past(worse, KEEPING, "") == ""


def test_a_reason_overrides_the_verdict_and_stays_visible() -> None:
    worse = duel(lost=30, won=3)
    assert kept_because(worse, KEEPING, "the old model has a licence problem") == ""
    assert forced_past(worse, KEEPING, "the old model has a licence problem") == (
        "forced, although the duel found it worse: the old model has a licence problem"
    )


@pytest.mark.parametrize("held", [duel(), duel(10, 10, 100), NoDuel("nothing is live")])
def test_where_nothing_keeps_latest_nothing_is_forced(held: Duel | NoDuel) -> None:
    assert kept_because(held, KEEPING, "") == forced_past(held, KEEPING, "just in case") == ""


def test_another_golden_set_than_before_is_named() -> None:
    first = golden_set("1")
    second = golden_set("2")
    assert golden_set_changed("", first) == golden_set_changed(identity(first), first) == ""
    assert golden_set_changed(identity(first), second) == (
        "The golden set is another one than in the duel before, "
        f"which asked birds 1 ({first.manifest_digest[:19]})."
    )
    assert golden_set_changed(identity(first), replace(first, description="other birds"))


def test_what_is_live_is_read_back_from_its_variable() -> None:
    live = LiveImage(DIGEST, "c" * 64)
    assert LiveImage.parse(live.to_json(), name="slipway_live_production") == live
    assert variable_of("eu-production") == "slipway_live_eu_production"


@pytest.mark.parametrize(
    "value", ["", "{}", "null", '{"digest": "latest", "capsule": ""}', LiveImage(DIGEST, "../c").to_json()]
)
def test_a_variable_that_names_no_image_is_named(value: str) -> None:
    with pytest.raises(PermanentError, match="The Prefect variable slipway_live_production names no image"):
        LiveImage.parse(value, name="slipway_live_production")
