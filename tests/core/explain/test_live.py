"""Why something is live, and why nothing newer is: a table of every reason."""

from dataclasses import replace
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest

from flows.core.explain.blockers import waiting_manifests
from flows.core.explain.live import explain
from flows.core.explain.status import Away, DeploymentStatus, Place, Seen, Store
from flows.core.model.model import ModelVersionSeen, Pin
from flows.core.release.decision import EnvironmentSnapshot, Upstream
from flows.core.release.environment_state import EnvironmentState, Hold, Quarantine
from flows.core.release.manifests_source import ManifestsSource
from flows.core.release.record import Record
from flows.core.trigger.attempts import UNAVAILABLE
from tests.core.releases import NEWEST, NOW, candidate, deployed, released

A, B = released(), candidate("b")
SIGHTED = ModelVersionSeen("digits", "1.0.0", "sha256:" + "1" * 64, settled=True)
NIGHT = NOW + timedelta(hours=23)
LIVE = EnvironmentSnapshot(deployed(), (A,))


def link(run: str) -> str:
    return f"http://ui/{run}"


def seen(state: str, message: str = "", name: str = "") -> Seen:
    return Seen(state, name or state.capitalize(), message, link("r"))


NOTHING_NEW = DeploymentStatus(
    now=NOW,
    here=Place("production", LIVE),
    latest=candidate("a", days=0),
    head="a" * 40,
    store=Store(SIGHTED, "1.0.0"),
    night=NIGHT,
    link=link,
)
NEWER = replace(NOTHING_NEW, latest=B, head="b" * 40)
"""`latest` names something newer, and nothing speaks against it."""

OLD_BASE, NEW_BASE = "sha256:" + "8" * 64, "sha256:" + "9" * 64
LATEST_WITH_BASE = replace(
    candidate("a", days=0), content=replace(candidate("a", days=0).content, base_digest=OLD_BASE)
)
PATCHED = replace(NOTHING_NEW, latest=LATEST_WITH_BASE, base=NEW_BASE)
"""The base image alone is newer than in the image that `latest` names."""

BEHIND = replace(NOTHING_NEW, head="b" * 40)
"""The newest commit is in no image."""


def here(
    status: DeploymentStatus, snapshot: EnvironmentSnapshot | Away, *, approval: bool = False
) -> DeploymentStatus:
    return replace(status, here=Place("production", snapshot, approval))


def staged(
    *history: object, bake: float = 0, notes: EnvironmentState | None = None, base: DeploymentStatus = NEWER
) -> DeploymentStatus:
    """The same where production promotes from staging, which has these releases."""
    snapshot = EnvironmentSnapshot(deployed(), history, notes or EnvironmentState())  # type: ignore[arg-type]  # records
    upstream = Upstream("staging", snapshot.history, bake)
    changed = here(base, replace(LIVE, upstream=upstream))
    return replace(changed, upstream=Place("staging", snapshot))


def text_of(status: DeploymentStatus) -> str:
    return "\n".join(explain(status))


FORCED = "forced, although the duel found it worse: a licence"

LIVE_CASES: dict[str, tuple[DeploymentStatus, str]] = {
    "a release": (
        NOTHING_NEW,
        "production runs aaaaaaa + digits 1.0.0, as release 1, since 2026-03-01 01:00.",
    ),
    "its reason": (NOTHING_NEW, "Asked for by Ada: a test."),
    "its duel": (
        here(NOTHING_NEW, EnvironmentSnapshot(deployed(), (replace(A, forced=FORCED),))),
        "Its image became latest forced, although the duel found it worse: a licence.",
    ),
    "its manifests": (NOTHING_NEW, "Its manifests: deployments/kubernetes of commit eeeeeee."),
    "its run": (NOTHING_NEW, "Its run: http://ui/run-1"),
    "nothing yet": (
        here(NOTHING_NEW, EnvironmentSnapshot(None)),
        "Nothing is live in production: nothing was released",
    ),
    "nothing, as the first failed": (
        here(NOTHING_NEW, EnvironmentSnapshot(None, (released(verdict="failed", reason="keeps crashing"),))),
        "Nothing is live in production: release 1 (aaaaaaa + digits 1.0.0) ended as failed, keeps crashing.",
    ),
    "another tool's": (
        here(NOTHING_NEW, EnvironmentSnapshot(deployed())),
        "which was not released by this pipeline",
    ),
    "changed by hand": (
        here(NOTHING_NEW, EnvironmentSnapshot(deployed("c"), (A,))),
        "It was changed by hand",
    ),
    "not settled": (
        here(NOTHING_NEW, EnvironmentSnapshot(deployed(settled=False, whole=False), (A,))),
        "Its last rollout has not ended well.",
    ),
    "not whole": (
        here(NOTHING_NEW, EnvironmentSnapshot(deployed(whole=False), (A,))),
        "not all ready at the moment",
    ),
    "deleted": (here(NOTHING_NEW, EnvironmentSnapshot(None, (A,))), "Its Deployment was deleted"),
    "degraded": (
        here(NOTHING_NEW, EnvironmentSnapshot(deployed(), (replace(A, degraded="answers wrong"),))),
        "It is degraded, as a later check failed: answers wrong",
    ),
    "under way": (
        here(NOTHING_NEW, EnvironmentSnapshot(deployed(), (A, released(2, "b", verdict="pending")))),
        "release 2 (bbbbbbb + digits 1.0.0) is under way since 2026-03-01 00:00, or was cut off. http://ui/run-2",
    ),
    "being undone": (
        here(
            NOTHING_NEW,
            EnvironmentSnapshot(deployed(), (A, released(2, "b", verdict="pending", undoing="no room"))),
        ),
        "is being undone: no room. http://ui/run-2",
    ),
    "held": (
        here(NOTHING_NEW, replace(LIVE, notes=EnvironmentState(Hold(NOW, "Ada", "a demo")))),
        "It is held since 2026-03-01 02:00 by Ada: a demo. It lasts until `resume`",
    ),
    "not known": (
        here(NOTHING_NEW, Away("the cluster", "It is away.")),
        "What is live in production is not known.",
    ),
}

NEWER_CASES: dict[str, tuple[DeploymentStatus, str]] = {
    "nothing": (NOTHING_NEW, "There is nothing newer"),
    "not yet night": (NEWER, "(latest): it is not yet night: it comes at 2026-03-02 01:00."),
    "late": (
        replace(NEWER, night=NOW - timedelta(hours=1)),
        "(latest): its night was due at 2026-03-01 01:00, and no worker has taken it up yet: ops, look at",
    ),
    "no night": (replace(NEWER, night=None), "no night is due"),
    "asks at night": (here(NEWER, LIVE, approval=True), "at 2026-03-02 01:00, and asks for approval then."),
    "waits for approval": (
        replace(NEWER, releases={str(B): seen("PAUSED")}),
        "it waits for a person's approval. http://ui/r",
    ),
    "being released": (
        replace(NEWER, releases={str(B): seen("RUNNING")}),
        "it is being released. http://ui/r",
    ),
    "waits for a worker": (
        replace(NEWER, releases={str(B): seen("PENDING")}),
        "its release waits for a worker.",
    ),
    "refused": (
        replace(NEWER, releases={str(B): seen("COMPLETED", "Not released: refused by Bob.", "Refused")}),
        "(latest): Not released: refused by Bob (http://ui/r); it is not yet night",
    ),
    "failed before it began": (
        replace(NEWER, releases={str(B): seen("FAILED", "The name does not resolve.")}),
        "its release failed, The name does not resolve (http://ui/r); it is not yet night",
    ),
    "rolled back": (
        here(
            NEWER,
            EnvironmentSnapshot(
                deployed(), (A, released(2, "b", 1, verdict="rolled_back", reason="no room"))
            ),
        ),
        "it was rolled back as release 2, no room; it is not yet night",
    ),
    "marked bad": (
        here(
            NEWER,
            replace(
                LIVE, notes=EnvironmentState(marks=(Quarantine(B.image.digest, "keeps crashing", NOW, "r"),))
            ),
        ),
        "bbbbbbb + digits 1.0.0 (latest): is quarantined here since 2026-03-01 02:00: keeps crashing.",
    ),
    "marked bad with the manifests of then": (
        here(
            NEWER,
            replace(
                LIVE,
                notes=EnvironmentState(
                    marks=(Quarantine(B.image.digest, "keeps crashing", NOW, "r", "of then"),)
                ),
            ),
        ),
        "(latest): is quarantined here with these manifests since 2026-03-01 02:00: keeps crashing.",
    ),
    "held": (
        here(NEWER, replace(LIVE, notes=EnvironmentState(Hold(NOW, "Ada", "a demo")))),
        "(latest): production is held since 2026-03-01 02:00 by Ada: a demo; `resume` lifts it.",
    ),
    "older": (
        replace(NEWER, latest=candidate("b", days=-1)),
        "(latest): of 2026-02-22 12:00 is older than aaaaaaa + digits 1.0.0, which is live.",
    ),
    "not in staging": (
        staged(released(3)),
        "was not released to staging yet; in staging: it is not yet night: it comes at 2026-03-02 01:00.",
    ),
    "under way in staging": (
        staged(released(3), released(4, "b", 1, verdict="pending")),
        "was not released to staging yet; in staging: release 4 (bbbbbbb + digits 1.0.0) is under way since "
        "2026-03-01 00:00, or was cut off. http://ui/run-4",
    ),
    "waits for approval in staging": (
        replace(staged(released(3)), upstream_releases={str(B): seen("PAUSED")}),
        "not released to staging yet; in staging: it waits for a person's approval. http://ui/r",
    ),
    "about to be recorded in staging": (
        replace(staged(released(3)), upstream_releases={str(B): seen("RUNNING")}),
        "not released to staging yet; in staging: it is being released. http://ui/r",
    ),
    "released again in staging": (
        staged(
            released(3),
            released(4, "b", 1, verdict="rolled_back", reason="no room"),
            released(5, "b", 1, verdict="pending"),
        ),
        "is not good in staging: no room; in staging: release 5 (bbbbbbb + digits 1.0.0) is under way",
    ),
    "another one is under way in staging": (
        staged(released(3), released(4, "c", 1, verdict="pending")),
        "was not released to staging yet; in staging: it is not yet night",
    ),
    "bad in staging": (
        staged(released(3), released(4, "b", 1, verdict="failed", reason="keeps crashing")),
        "(latest): is not good in staging: keeps crashing.",
    ),
    "staging is held": (
        staged(released(3), notes=EnvironmentState(Hold(NOW, "Ada", "a demo"))),
        "was not released to staging yet; in staging: staging is held since 2026-03-01 02:00 by Ada: a demo",
    ),
    "not baked": (
        staged(released(4, "b", 1, good_since=NOW - timedelta(minutes=10)), bake=30),
        "(latest): has been good in staging for 10 of 30 minutes.",
    ),
    "good in staging": (
        replace(staged(released(4, "b", 1)), promotable=B),
        "bbbbbbb + digits 1.0.0 (good in staging): it is not yet night",
    ),
    "staging is away": (
        replace(NEWER, upstream=Place("staging", Away("staging's cluster", "It is away."))),
        "whether it is good in staging is not known.",
    ),
    "not built": (
        BEHIND,
        "bbbbbbb + digits 1.0.0 (newest, new code aaaaaaa → bbbbbbb, same model): it is not built",
    ),
    "being built": (replace(BEHIND, build=seen("RUNNING")), "it is being built. http://ui/r"),
    "to be built": (
        replace(BEHIND, build=seen("SCHEDULED")),
        "its run of ci waits for its turn. http://ui/r",
    ),
    "failing": (
        replace(BEHIND, build=seen("FAILED", "1 of 3 tests failed.")),
        "failed: 1 of 3 tests failed. http",
    ),
    "crashed": (
        replace(BEHIND, build=seen("CRASHED", "killed")),
        "its run of ci crashed: killed. http://ui/r",
    ),
    "waiting for a registry": (
        replace(BEHIND, build=seen("CRASHED", "the registry is away", UNAVAILABLE)),
        "its run of ci is tried again later: the registry is away. http://ui/r",
    ),
    "cancelled": (replace(BEHIND, build=seen("CANCELLED", "by Ada")), "was cancelled: by Ada. http://ui/r"),
    "built in vain": (
        replace(BEHIND, build=seen("COMPLETED", "latest stays: not wanted.")),
        "it was built, and latest does not name it: latest stays: not wanted. http://ui/r",
    ),
    "a new model": (
        replace(NOTHING_NEW, store=Store(replace(SIGHTED, version="1.1.0", identity="sha256:2"), "1.1.0")),
        "aaaaaaa + digits 1.1.0 (newest, same code, model 1.0.0 → 1.1.0): it is not built",
    ),
    "a model that is pinned": (
        replace(NOTHING_NEW, store=Store(SIGHTED, "1.1.0", Pin("1.0.0", "2026-02-01T10:00:00+00:00", "r"))),
        "digits 1.1.0: version 1.0.0 is pinned since 2026-02-01 10:00; a run of ci with model=newest",
    ),
    "built, as far as is known": (
        replace(BEHIND, latest=Away("the registry", "No answer."), build=seen("COMPLETED", "latest moved.")),
        "(newest, new code aaaaaaa → bbbbbbb, same model): it was built: latest moved. http://ui/r",
    ),
    "not known": (
        replace(BEHIND, latest=Away("the registry", "No."), build=Away("Prefect", "No.")),
        "what ci makes of it is not known.",
    ),
    "a new base image": (
        PATCHED,
        "aaaaaaa + digits 1.0.0 (newest, same code, same model, base image sha256:888888888888 → "
        "sha256:999999999999): it is not built, and no run of ci was started for it yet; the poller looks at",
    ),
    "a new base image that is being built": (
        replace(PATCHED, build=seen("RUNNING")),
        "it is being built. http://ui/r",
    ),
    "the same base image": (replace(PATCHED, base=OLD_BASE), "There is nothing newer"),
    "a base image, and none is recorded": (replace(NOTHING_NEW, base=NEW_BASE), "There is nothing newer"),
    "nothing was ever built": (
        replace(here(NOTHING_NEW, EnvironmentSnapshot(None)), latest=None),
        "aaaaaaa + digits 1.0.0 (newest): it is not built",
    ),
}


@pytest.mark.parametrize(("status", "expected"), LIVE_CASES.values(), ids=LIVE_CASES.keys())
def test_why_something_is_live(status: DeploymentStatus, expected: str) -> None:
    assert expected in text_of(status)


@pytest.mark.parametrize(("status", "expected"), NEWER_CASES.values(), ids=NEWER_CASES.keys())
def test_why_nothing_newer_is_live(status: DeploymentStatus, expected: str) -> None:
    assert expected in text_of(status)


CHANGED = ManifestsSource("/team", "f" * 40, "deployments/kubernetes", "f" * 40)
COMMITTED = replace(NOTHING_NEW, manifests=CHANGED)
"""The manifests were changed, and nothing else."""

WITH_CHANGED = "aaaaaaa + digits 1.0.0 (live) with the manifests deployments/kubernetes of commit fffffff: "


def of_changed(number: int, verdict: str = "deployed", **changes: object) -> Record:
    """A release of the live image with them."""
    return replace(
        released(number, source=CHANGED, manifests="changed", verdict=verdict),
        **changes,  # type: ignore[arg-type]  # a table's columns have many types
    )


def marked(*history: Record) -> EnvironmentSnapshot:
    """The live image is quarantined with the changed manifests."""
    marks = (Quarantine(A.image.digest, "keeps crashing", NOW, "r", "changed"),)
    return EnvironmentSnapshot(deployed(), (A, *history), EnvironmentState(marks=marks))


MANIFESTS_CASES: dict[str, tuple[DeploymentStatus, str]] = {
    "not yet night": (COMMITTED, "it is not yet night: it comes at 2026-03-02 01:00."),
    "asks at night": (
        here(COMMITTED, LIVE, approval=True),
        "it is not yet night: it comes at 2026-03-02 01:00, and asks for approval then.",
    ),
    "waits for approval": (
        replace(COMMITTED, releases={str(A.content): seen("PAUSED")}),
        "it waits for a person's approval. http://ui/r",
    ),
    "held": (
        here(COMMITTED, replace(LIVE, notes=EnvironmentState(Hold(NOW, "Ada", "a demo")))),
        "production is held since 2026-03-01 02:00 by Ada: a demo; `resume` lifts it.",
    ),
    "the image was released without a commit of them": (
        here(COMMITTED, EnvironmentSnapshot(deployed(), (replace(A, source=None),))),
        "it is not yet night: it comes at 2026-03-02 01:00.",
    ),
    "failed here": (
        here(COMMITTED, marked(of_changed(2, "failed"))),
        "is quarantined here with these manifests since 2026-03-01 02:00: keeps crashing.",
    ),
    "others failed here": (
        here(COMMITTED, marked(replace(of_changed(2, "failed"), source=replace(CHANGED, tree="0" * 40)))),
        "it is not yet night: it comes at 2026-03-02 01:00.",
    ),
    "others were rolled back, in a run that failed": (
        replace(
            here(
                COMMITTED, EnvironmentSnapshot(deployed(), (A, released(2, verdict="rolled_back", run="r")))
            ),
            releases={str(A.content): seen("FAILED", "no room")},
        ),
        "it is not yet night: it comes at 2026-03-02 01:00.",
    ),
    "not in staging": (
        staged(A, base=COMMITTED),
        "was not released to staging with deployments/kubernetes of commit fffffff yet; in staging: it is "
        "not yet night: it comes at 2026-03-02 01:00.",
    ),
    "staging is held": (
        staged(A, base=COMMITTED, notes=EnvironmentState(Hold(NOW, "Ada", "a demo"))),
        "was not released to staging with deployments/kubernetes of commit fffffff yet; in staging: staging "
        "is held since 2026-03-01 02:00 by Ada: a demo; `resume` lifts it.",
    ),
    "under way in staging": (
        staged(A, of_changed(4, "pending"), base=COMMITTED),
        "was not released to staging with deployments/kubernetes of commit fffffff yet; in staging: release "
        "4 (aaaaaaa + digits 1.0.0) is under way since 2026-03-01 00:00, or was cut off. http://ui/run-4",
    ),
    "failed in staging": (
        staged(A, of_changed(4, "failed", reason="out of memory"), base=COMMITTED),
        "is not good in staging: out of memory.",
    ),
    "not baked": (
        staged(of_changed(4, good_since=NOW - timedelta(minutes=10)), bake=30, base=COMMITTED),
        "has been good in staging for 10 of 30 minutes.",
    ),
    "good in staging": (
        replace(
            staged(of_changed(4)), latest=None, promotable=candidate("a", days=0).promoted(of_changed(4))
        ),
        "it is not yet night: it comes at 2026-03-02 01:00.",
    ),
}


@pytest.mark.parametrize(("status", "reason"), MANIFESTS_CASES.values(), ids=MANIFESTS_CASES.keys())
def test_why_manifests_that_were_committed_are_not_live(status: DeploymentStatus, reason: str) -> None:
    assert f"  {WITH_CHANGED}{reason}" in explain(status)
    assert waiting_manifests(status) == (CHANGED, reason)


def test_an_image_and_manifests_that_are_both_newer_wait_together() -> None:
    both = replace(NEWER, manifests=CHANGED)
    line = (
        "bbbbbbb + digits 1.0.0 (latest) with the manifests deployments/kubernetes of commit fffffff: it is"
    )
    assert line in text_of(both)
    assert text_of(both).count("fffffff") == 1


def test_what_staging_has_is_next_and_what_it_has_not_comes_after_it() -> None:
    newest = replace(CHANGED, commit="9" * 40, tree="9" * 40)
    good = candidate("a", days=0).promoted(of_changed(4))
    status = replace(staged(of_changed(4), base=COMMITTED), promotable=good, manifests=newest)
    first, second = [line for line in explain(status) if "with the manifests" in line]
    assert "of commit fffffff: it is not yet night" in first
    assert "was not released to staging with deployments/kubernetes of commit 9999999 yet" in second
    assert waiting_manifests(status) == (CHANGED, "it is not yet night: it comes at 2026-03-02 01:00.")


def test_the_same_manifests_in_a_newer_commit_are_nothing_newer() -> None:
    status = replace(NOTHING_NEW, manifests=replace(NEWEST, commit="f" * 40))
    assert "There is nothing newer" in text_of(status)
    assert waiting_manifests(status) is None


@pytest.mark.parametrize(
    ("latest", "reason"),
    [
        (None, "there is no image to release them with."),
        (Away("the registry", "No answer."), "it is not known which image there is to release them with."),
    ],
    ids=["none", "not known"],
)
def test_manifests_without_an_image_to_release_them_with_wait_for_one(
    latest: Away | None, reason: str
) -> None:
    status = replace(COMMITTED, latest=latest)
    assert f"the manifests deployments/kubernetes of commit fffffff (newest): {reason}" in text_of(status)
    assert waiting_manifests(status) == (CHANGED, reason)


def test_manifests_that_wait_are_not_known_where_the_cluster_is_away() -> None:
    assert waiting_manifests(here(COMMITTED, Away("the cluster", "No answer."))) is None


AWAY_CASES: dict[str, tuple[DeploymentStatus, str, str]] = {
    "the cluster": (
        here(NEWER, Away("the cluster", "No answer.")),
        "the cluster could not be asked: No answer.",
        "it is in the registry",
    ),
    "the registry": (
        replace(BEHIND, latest=Away("the registry", "No answer."), build=seen("RUNNING")),
        "the registry could not be asked: No answer.",
        "it is being built",
    ),
    "the repository": (
        replace(NEWER, head=Away("the repository", "No answer.")),
        "the repository could not be asked: No answer.",
        "it is not yet night",
    ),
    "the repository of the manifests": (
        replace(NEWER, manifests=Away("the repository of the manifests", "No answer.")),
        "the repository of the manifests could not be asked: No answer.",
        "it is not yet night",
    ),
    "the model store": (
        replace(BEHIND, store=Away("the model store", "No answer.")),
        "the model store could not be asked: No answer.",
        "new code aaaaaaa → bbbbbbb",
    ),
    "the base image's registry": (
        replace(BEHIND, latest=LATEST_WITH_BASE, base=Away("the base image's registry", "No answer.")),
        "the base image's registry could not be asked: No answer.",
        "(newest, new code aaaaaaa → bbbbbbb, same model): it is not built",
    ),
    "Prefect": (
        replace(
            NEWER,
            **dict.fromkeys(("build", "releases", "night"), Away("Prefect", "No answer.")),  # type: ignore[arg-type]
        ),
        "Prefect could not be asked: No answer.",
        "it comes with the next night.",
    ),
}


@pytest.mark.parametrize(("status", "named", "still"), AWAY_CASES.values(), ids=AWAY_CASES.keys())
def test_a_system_that_is_away_is_named_and_the_rest_is_answered(
    status: DeploymentStatus, named: str, still: str
) -> None:
    text = text_of(status)
    assert text.count(named) == 1
    assert still in text
    assert "There is nothing newer" not in text


def test_an_image_that_is_live_is_nothing_newer_though_latest_names_another_commit_for_it() -> None:
    found = candidate("a", days=0)
    renamed = replace(found, content=replace(found.content, commit="d" * 40))
    assert "There is nothing newer" in text_of(replace(NOTHING_NEW, latest=renamed, head="d" * 40))


def in_berlin(status: DeploymentStatus) -> str:
    """The text there, where it is an hour later than in what the systems say."""
    assert NOW.tzinfo == UTC
    return text_of(replace(status, now=NOW.astimezone(ZoneInfo("Europe/Berlin"))))


def test_times_are_those_of_the_project() -> None:
    assert "since 2026-03-01 02:00." in in_berlin(NEWER)
    assert "it comes at 2026-03-02 02:00" in in_berlin(NEWER)
    pinned = NEWER_CASES["a model that is pinned"][0]
    assert "is pinned since 2026-02-01 11:00; " in in_berlin(pinned)


def test_a_hold_has_one_time_wherever_it_is_named() -> None:
    assert in_berlin(NEWER_CASES["held"][0]).count("held since 2026-03-01 03:00 by Ada") == 2
