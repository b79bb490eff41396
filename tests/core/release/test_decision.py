"""Whether a release is due: a table of every situation that the night, or a person, can meet."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from flows.core.release.decision import (
    Candidate,
    Decision,
    EnvironmentSnapshot,
    Refuse,
    Release,
    Request,
    SkipRelease,
    Upstream,
    decide,
    hold_lifted,
    lifts_hold,
)
from flows.core.release.environment_state import EnvironmentState, Hold, Quarantine
from tests.core.releases import MONDAY, NEWEST, NOW, candidate, deployed, released

ASKED = Request("production", by_person=False, asked_by="the schedule")
BY_ADA = replace(ASKED, by_person=True, asked_by="Ada")
LIVE = EnvironmentSnapshot(deployed(), (released(),))
HELD = replace(LIVE, notes=EnvironmentState(hold=Hold(NOW, "Ada", "a demo")))
BAD = replace(
    LIVE, notes=EnvironmentState(marks=(Quarantine("sha256:" + "b" * 64, "keeps crashing", NOW, "run-0"),))
)
WANTED = "bbbbbbb + digits 1.0.0"
OLDER = replace(NEWEST, commit="d" * 40, tree="d" * 40)


def staged(**changes: object) -> EnvironmentSnapshot:
    """The candidate was released to staging, with that outcome."""
    return replace(LIVE, upstream=Upstream("staging", (released(5, "b", 1, **changes),), bake=30))


def twice_staged(**changes: object) -> EnvironmentSnapshot:
    """The candidate is good in staging, and was released there again, with that outcome."""
    history = (released(5, "b", 1), released(6, "b", 1, **changes))
    return replace(LIVE, upstream=Upstream("staging", history, bake=30))


ASLEEP = replace(LIVE, live=replace(deployed(), replicas=0, asleep="KEDA's ScaledObject by-queue"))
CRASHED = Quarantine("sha256:" + "b" * 64, "keeps crashing", NOW, "run-0", manifests="m")

CASES: dict[str, tuple[Request, EnvironmentSnapshot, Decision]] = {
    "nothing was ever released": (ASKED, EnvironmentSnapshot(None), Release("nothing is live yet")),
    "scaled to zero by KEDA": (
        ASKED,
        ASLEEP,
        SkipRelease(
            "production is scaled to zero by KEDA's ScaledObject by-queue: no replica could be verified"
        ),
    ),
    "scaled to zero by hand": (
        ASKED,
        replace(LIVE, live=replace(deployed(), replicas=0)),
        Release("aaaaaaa + digits 1.0.0 is live"),
    ),
    "crashed with these manifests": (
        ASKED,
        replace(LIVE, notes=EnvironmentState(marks=(CRASHED,))),
        SkipRelease(
            f"{WANTED} is quarantined here with these manifests since 2026-03-01 02:00: keeps crashing"
        ),
    ),
    "crashed with others": (
        ASKED,
        replace(LIVE, notes=EnvironmentState(marks=(replace(CRASHED, manifests="others"),))),
        Release("aaaaaaa + digits 1.0.0 is live"),
    ),
    "something newer": (ASKED, LIVE, Release("aaaaaaa + digits 1.0.0 is live")),
    "live already": (
        ASKED,
        EnvironmentSnapshot(deployed("b"), (released(4, "b", 1),)),
        SkipRelease(f"{WANTED} is live already, as release 4"),
    ),
    "live already, degraded": (
        ASKED,
        EnvironmentSnapshot(deployed("b"), (released(4, "b", 1, degraded="answers wrong"),)),
        SkipRelease(f"{WANTED} is live already, as release 4, but degraded: answers wrong"),
    ),
    "live with other manifests": (
        ASKED,
        EnvironmentSnapshot(deployed("b", "before"), (released(4, "b", 1),)),
        Release("the manifests changed"),
    ),
    "live already, a replica short": (
        ASKED,
        EnvironmentSnapshot(deployed("b", whole=False), (released(4, "b", 1),)),
        SkipRelease(f"{WANTED} is live already, as release 4"),
    ),
    "live, but its rollout never ended well": (
        ASKED,
        EnvironmentSnapshot(deployed("b", settled=False, whole=False), (released(4, "b", 1),)),
        Release("its last rollout has not ended well"),
    ),
    "the image was changed by hand": (
        ASKED,
        EnvironmentSnapshot(deployed("c"), (released(4, "b", 1),)),
        Release("another writer changed what is live"),
    ),
    "deployed by another tool": (
        ASKED,
        EnvironmentSnapshot(deployed("c")),
        Release("what is live was never recorded"),
    ),
    "live from another folder of manifests that renders the same here": (
        ASKED,
        EnvironmentSnapshot(deployed("b"), (released(4, "b", 1, source=OLDER),)),
        Release("the manifests changed"),
    ),
    "live from the same folder of another commit": (
        ASKED,
        EnvironmentSnapshot(deployed("b"), (released(4, "b", 1, source=replace(NEWEST, commit="c" * 40)),)),
        SkipRelease(f"{WANTED} is live already, as release 4"),
    ),
    "live since before records named their manifests": (
        ASKED,
        EnvironmentSnapshot(deployed("b"), (released(4, "b", 1, source=None),)),
        Release("the manifests changed"),
    ),
    "good in staging with other manifests": (
        ASKED,
        staged(source=OLDER),
        SkipRelease(f"{WANTED} was not released to staging with {NEWEST} yet"),
    ),
    "good in staging before records named their manifests": (
        ASKED,
        staged(source=None),
        SkipRelease(f"{WANTED} was not released to staging with {NEWEST} yet"),
    ),
    "failed in staging with these manifests, and good with older ones": (
        ASKED,
        replace(
            LIVE,
            upstream=Upstream(
                "staging",
                (
                    released(5, "b", 1, source=OLDER),
                    released(6, "b", 1, verdict="rolled_back", reason="no memory", good_since=None),
                ),
                30,
            ),
        ),
        SkipRelease(f"{WANTED} is not good in staging: no memory"),
    ),
    "quarantined": (
        ASKED,
        BAD,
        SkipRelease(f"{WANTED} is quarantined here since 2026-03-01 02:00: keeps crashing"),
    ),
    "quarantined, and a person asks": (
        BY_ADA,
        BAD,
        SkipRelease(f"{WANTED} is quarantined here since 2026-03-01 02:00: keeps crashing"),
    ),
    "older than what is live": (
        ASKED,
        EnvironmentSnapshot(deployed("c"), (released(4, "c", 2),)),
        SkipRelease(f"{WANTED} of 2026-02-24 12:00 is older than ccccccc + digits 1.0.0, which is live"),
    ),
    "held, and it is night": (
        ASKED,
        HELD,
        SkipRelease("production is held since 2026-03-01 02:00 by Ada: a demo; `resume` lifts it"),
    ),
    "held, and a person asks for something newer": (BY_ADA, HELD, Release("aaaaaaa + digits 1.0.0 is live")),
    "held, and a person asks for what was rolled back": (
        BY_ADA,
        replace(HELD, history=(released(2, "b", 1, verdict="rolled_back"), released(3))),
        SkipRelease("production is held since 2026-03-01 02:00 by Ada: a demo; `resume` lifts it"),
    ),
    "not in staging": (
        ASKED,
        replace(LIVE, upstream=Upstream("staging", (), 0)),
        SkipRelease(f"{WANTED} was not released to staging yet"),
    ),
    "under way in staging": (
        ASKED,
        staged(verdict="pending", good_since=None),
        SkipRelease(f"{WANTED} was not released to staging yet"),
    ),
    "good in staging": (ASKED, staged(), Release("aaaaaaa + digits 1.0.0 is live")),
    "good in staging, not baked": (
        ASKED,
        staged(good_since=NOW - timedelta(minutes=10)),
        SkipRelease(f"{WANTED} has been good in staging for 10 of 30 minutes"),
    ),
    "superseded in staging after it had baked": (
        ASKED,
        staged(verdict="superseded", ended=NOW - timedelta(minutes=20)),
        Release("aaaaaaa + digits 1.0.0 is live"),
    ),
    "superseded in staging before it had baked": (
        ASKED,
        staged(verdict="superseded", ended=NOW - timedelta(minutes=50)),
        SkipRelease(f"{WANTED} has been good in staging for 10 of 30 minutes"),
    ),
    "bad in staging": (
        ASKED,
        staged(verdict="failed", reason="keeps crashing"),
        SkipRelease(f"{WANTED} is not good in staging: keeps crashing"),
    ),
    "good in staging, where it was then taken back with other manifests": (
        ASKED,
        twice_staged(verdict="rolled_back", reason="no memory", good_since=None),
        Release("aaaaaaa + digits 1.0.0 is live"),
    ),
    "rolled back in staging": (
        ASKED,
        staged(verdict="rolled_back", reason="by release 6: rollback"),
        SkipRelease(f"{WANTED} is not good in staging: by release 6: rollback"),
    ),
    "rolled back in staging by a run that closed nothing": (
        ASKED,
        replace(
            LIVE,
            upstream=Upstream("staging", (released(5, "b", 1), released(6, "a", is_rollback=True)), bake=30),
        ),
        SkipRelease(f"{WANTED} is not good in staging: it was rolled back"),
    ),
    "degraded in staging": (
        ASKED,
        staged(degraded="answers wrong"),
        SkipRelease(f"{WANTED} is not good in staging: answers wrong"),
    ),
    "forced against all of it": (
        replace(BY_ADA, force=True, reason="a fix that can't wait"),
        replace(HELD, notes=replace(HELD.notes, marks=BAD.notes.marks), upstream=Upstream("staging", (), 0)),
        Release("forced: a fix that can't wait"),
    ),
    "forced without a word": (
        replace(BY_ADA, force=True, reason=" "),
        LIVE,
        Refuse("force needs a written reason"),
    ),
}


@pytest.mark.parametrize(("request_", "snapshot", "expected"), CASES.values(), ids=CASES.keys())
def test_a_release_is_due_or_not_for_a_reason(
    request_: Request, snapshot: EnvironmentSnapshot, expected: Decision
) -> None:
    assert decide(request_, candidate(), "m", snapshot, NOW) == expected


@pytest.mark.parametrize(
    ("snapshot", "wanted", "reason"),
    [
        (HELD, candidate(), "held since 2026-03-01 03:00 by Ada"),
        (
            replace(
                LIVE,
                notes=EnvironmentState(marks=(Quarantine(candidate().image.digest, "crashed", NOW, "run"),)),
            ),
            candidate(),
            "is quarantined here since 2026-03-01 03:00",
        ),
        (LIVE, candidate(days=-1), "of 2026-02-22 13:00 is older"),
    ],
)
def test_reasons_tell_times_in_the_zone_of_the_one_who_decides(
    snapshot: EnvironmentSnapshot, wanted: Candidate, reason: str
) -> None:
    berlin = NOW.astimezone(ZoneInfo("Europe/Berlin"))
    decision = decide(ASKED, wanted, "m", snapshot, berlin)
    assert isinstance(decision, SkipRelease)
    assert reason in decision.reason


def test_a_model_that_is_newer_than_all_before_lifts_a_hold_too() -> None:
    same_commit = released(1, "a", 1, model_created=MONDAY)
    assert lifts_hold(BY_ADA, candidate(days=1, model_days=1), (same_commit,))
    assert not lifts_hold(BY_ADA, candidate(days=1, model_days=0), (same_commit,))


@pytest.mark.parametrize(
    ("request_", "snapshot", "expected"),
    [(BY_ADA, HELD, NOW), (ASKED, HELD, None), (BY_ADA, LIVE, None)],
    ids=["a person's", "the night's", "there is none"],
)
def test_a_release_lifts_the_hold_that_it_met(
    request_: Request, snapshot: EnvironmentSnapshot, expected: datetime | None
) -> None:
    assert hold_lifted(request_, candidate(), snapshot) == expected


def test_taking_a_model_back_is_not_older_than_what_is_live() -> None:
    newer_model = released(3, "c", 1, model_created=MONDAY + timedelta(days=2))
    decision = decide(ASKED, candidate(), "m", EnvironmentSnapshot(deployed("c"), (newer_model,)), NOW)
    assert isinstance(decision, Release)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [(ASKED, SkipRelease), (BY_ADA, SkipRelease), (replace(BY_ADA, force=True, reason="a demo"), Refuse)],
    ids=["the night", "a person", "force"],
)
def test_a_commit_of_another_branch_does_not_get_where_only_released_ones_do(
    request_: Request, kind: type[Decision]
) -> None:
    other = replace(candidate(), lacking_branch="main")
    decision = decide(request_, other, "m", staged(), NOW)
    assert isinstance(decision, kind)
    assert decision.reason.startswith("commit bbbbbbb is not on main, and production takes only commits")
