"""Whether `latest` moves: a table of every situation two runs can leave it in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flows.core.build.content import BuildContent, ModelVersion
from flows.core.build.latest import TICK, UNKNOWN_TIME, BranchFacts, Keep, LatestPointer, Move, decide

MODEL = ModelVersion("classifier", "1.0.0", "sha256:" + "1" * 64)
CURRENT = LatestPointer(
    digest="sha256:" + "a" * 64,
    content=BuildContent("a" * 40, MODEL, datetime(2026, 1, 1, tzinfo=UTC), "c" * 64),
    subject="the one before",
    branch="main",
    run="run-1",
)
NEWER = replace(
    CURRENT,
    digest="sha256:" + "b" * 64,
    content=replace(CURRENT.content, commit="b" * 40, capsule="d" * 64),
    run="run-2",
)
STANDING = BranchFacts(
    released_branch="main",
    on_branch=True,
    behind=False,
    ahead=True,
    current_on_branch=True,
    wanted_model=(MODEL.version, MODEL.digest),
)


@pytest.mark.parametrize(
    ("candidate", "current", "standing", "expected"),
    [
        (NEWER, None, STANDING, Move("there was no latest image yet")),
        (NEWER, CURRENT, STANDING, Move("new code aaaaaaa → bbbbbbb, same model")),
        (
            NEWER,
            CURRENT,
            replace(STANDING, on_branch=False),
            Keep("commit bbbbbbb is not on the released branch main"),
        ),
        (
            NEWER,
            CURRENT,
            replace(STANDING, behind=True, ahead=False),
            Keep("commit bbbbbbb is behind aaaaaaa, which latest names"),
        ),
        (
            NEWER,
            CURRENT,
            replace(STANDING, behind=True, ahead=False, current_on_branch=False),
            Move("commit aaaaaaa is no longer on main"),
        ),
        (
            NEWER,
            CURRENT,
            replace(STANDING, ahead=False),
            Keep("commit bbbbbbb lacks aaaaaaa, which latest names"),
        ),
        (
            NEWER,
            CURRENT,
            replace(STANDING, ahead=False, current_on_branch=False),
            Move("new code aaaaaaa → bbbbbbb, same model"),
        ),
        (
            NEWER,
            CURRENT,
            replace(STANDING, wanted_model=("1.1.0", "sha256:" + "2" * 64)),
            Keep("classifier 1.0.0 is not the model that is wanted"),
        ),
        (
            NEWER,
            CURRENT,
            replace(STANDING, wanted_model=("1.0.1", MODEL.digest)),
            Keep("classifier 1.0.0 is not the model that is wanted"),
        ),
        (replace(CURRENT, run="run-2"), CURRENT, STANDING, Keep("latest names this image already")),
        (
            replace(
                CURRENT,
                digest="sha256:" + "e" * 64,
                content=replace(
                    CURRENT.content, model=replace(MODEL, version="1.1.0", digest="sha256:" + "2" * 64)
                ),
            ),
            CURRENT,
            replace(STANDING, wanted_model=("1.1.0", "sha256:" + "2" * 64)),
            Move("same code, model 1.0.0 → 1.1.0"),
        ),
    ],
    ids=[
        "the first image",
        "a newer commit",
        "another branch",
        "an older commit that ended later",
        "an older commit after a force-push",
        "a feature's commit that was merged meanwhile",
        "another commit after a force-push",
        "a model that is not wanted any more",
        "the same weights under a newer manifest",
        "nothing new",
        "a new model alone",
    ],
)
def test_latest_moves_only_to_what_is_still_wanted(
    candidate: LatestPointer, current: LatestPointer | None, standing: BranchFacts, expected: Move | Keep
) -> None:
    assert decide(candidate, current, standing) == expected


def test_a_revert_moves_latest_to_the_older_content() -> None:
    reverted = replace(CURRENT, content=replace(CURRENT.content, commit="f" * 40))
    assert decide(reverted, NEWER, STANDING) == Move("new code bbbbbbb → fffffff, same model")


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("current", "own", "expected"),
    [
        (CURRENT.content.committed, CURRENT.content.committed + DAY, CURRENT.content.committed + DAY),
        (CURRENT.content.committed + DAY, CURRENT.content.committed, CURRENT.content.committed + DAY + TICK),
        (UNKNOWN_TIME, CURRENT.content.committed, CURRENT.content.committed),
    ],
    ids=["a clock that is right", "a clock that was ahead", "a pointer without a time"],
)
def test_times_only_rise_along_the_branch(current: datetime, own: datetime, expected: datetime) -> None:
    before = replace(CURRENT, content=replace(CURRENT.content, committed=current))
    after = replace(NEWER, content=replace(NEWER.content, committed=own))
    assert after.following(before).content.committed == expected


def test_a_new_model_for_the_same_commit_has_the_commits_time() -> None:
    earlier = replace(CURRENT.content, committed=CURRENT.content.committed - DAY)
    assert replace(CURRENT, content=earlier).following(CURRENT) == CURRENT


def test_a_pointer_survives_the_registry() -> None:
    index = CURRENT.to_index("application/vnd.oci.image.manifest.v1+json", 1234)
    assert LatestPointer.from_index(index) == CURRENT


def test_a_pointer_of_before_there_was_a_field_for_the_commits_time_is_read() -> None:
    index = CURRENT.to_index("application/vnd.oci.image.manifest.v1+json", 1234)
    del index["annotations"]["dev.slipway.committed"]
    old = LatestPointer.from_index(index)
    assert old == replace(CURRENT, content=replace(CURRENT.content, committed=UNKNOWN_TIME))


def test_an_index_that_somebody_else_made_is_no_pointer() -> None:
    assert LatestPointer.from_index({"schemaVersion": 2, "manifests": [{"digest": CURRENT.digest}]}) is None
