"""Whether `latest` moves: a table of every situation two runs can leave it in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flows.core.build.content import BuildContent, ModelVersion
from flows.core.build.latest import UNKNOWN_TIME, BranchFacts, Keep, LatestPointer, Move, decide

MODEL = ModelVersion("classifier", "1.0.0", "sha256:" + "1" * 64)
CURRENT = LatestPointer(
    digest="sha256:" + "a" * 64,
    content=BuildContent(
        "a" * 40,
        MODEL,
        datetime(2026, 1, 1, tzinfo=UTC),
        "c" * 64,
        base_digest="sha256:" + "3" * 64,
    ),
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
    built_as_released=True,
)


MERGED_MEANWHILE = "commit bbbbbbb came to main after this run had begun; another run builds it for main"


@pytest.mark.parametrize(
    ("candidate", "current", "facts", "expected"),
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
            replace(STANDING, built_as_released=False),
            Keep(MERGED_MEANWHILE),
        ),
        (
            NEWER,
            None,
            replace(STANDING, built_as_released=False),
            Keep(MERGED_MEANWHILE),
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
        (
            replace(
                CURRENT,
                digest="sha256:" + "e" * 64,
                content=replace(CURRENT.content, base_digest="sha256:" + "4" * 64),
            ),
            CURRENT,
            STANDING,
            Move("same code, same model, base image sha256:333333333333 → sha256:444444444444"),
        ),
    ],
    ids=[
        "the first image",
        "a newer commit",
        "another branch",
        "an image of a branch that was merged meanwhile",
        "the first image, of a branch that was merged meanwhile",
        "an older commit that ended later",
        "an older commit after a force-push",
        "a feature's commit that was merged meanwhile",
        "another commit after a force-push",
        "a model that is not wanted any more",
        "the same weights under a newer manifest",
        "nothing new",
        "a new model alone",
        "a new base image alone",
    ],
)
def test_latest_moves_only_to_what_is_still_wanted(
    candidate: LatestPointer, current: LatestPointer | None, facts: BranchFacts, expected: Move | Keep
) -> None:
    assert decide(candidate, current, facts) == expected


def test_a_revert_moves_latest_to_the_older_content() -> None:
    reverted = replace(CURRENT, content=replace(CURRENT.content, commit="f" * 40))
    assert decide(reverted, NEWER, STANDING) == Move("new code bbbbbbb → fffffff, same model")


DAY = timedelta(days=1)


def test_a_new_model_for_the_same_commit_has_the_commits_time() -> None:
    earlier = replace(CURRENT.content, committed=CURRENT.content.committed - DAY)
    assert replace(CURRENT, content=earlier).following(CURRENT) == CURRENT


WHOLE = replace(CURRENT, content=replace(CURRENT.content, code_half="4" * 64, model_half="5" * 64))


def test_a_pointer_survives_the_registry() -> None:
    index = WHOLE.to_index("application/vnd.oci.image.manifest.v1+json", 1234, "linux/arm64")
    assert index["manifests"][0]["platform"] == {"os": "linux", "architecture": "arm64"}
    assert LatestPointer.from_index(index) == WHOLE


@pytest.mark.parametrize(
    ("missing", "content"),
    [
        ("dev.slipway.committed", replace(WHOLE.content, committed=UNKNOWN_TIME)),
        ("org.opencontainers.image.base.digest", replace(WHOLE.content, base_digest="")),
        ("dev.slipway.code", replace(WHOLE.content, code_half="")),
        ("dev.slipway.model-half", replace(WHOLE.content, model_half="")),
    ],
    ids=["the commit's time", "the base image", "the code half", "the model half"],
)
def test_a_pointer_of_before_there_was_a_field_for_something_is_read(
    missing: str, content: BuildContent
) -> None:
    index = WHOLE.to_index("application/vnd.oci.image.manifest.v1+json", 1234, "linux/amd64")
    del index["annotations"][missing]
    old = LatestPointer.from_index(index)
    assert old == replace(WHOLE, content=content)
    assert old is not None
    assert LatestPointer.from_index(old.to_index("any", 1, "linux/amd64")) == old


def test_an_index_of_another_tool_is_no_pointer() -> None:
    assert LatestPointer.from_index({"schemaVersion": 2, "manifests": [{"digest": CURRENT.digest}]}) is None


def test_an_image_that_was_forced_stays_so_for_later_commits_and_another_image_is_not() -> None:
    forced = replace(CURRENT, forced="forced, although the duel found it worse: a licence")
    again = replace(CURRENT, content=replace(CURRENT.content, commit="b" * 40))
    assert again.following(forced).forced == forced.forced
    assert NEWER.following(forced).forced == ""


def test_how_an_image_was_forced_is_written_and_read_back() -> None:
    for pointer in (CURRENT, replace(CURRENT, forced="forced, although the duel found it worse: a licence")):
        index = pointer.to_index("application/vnd.oci.image.manifest.v1+json", 500, "linux/amd64")
        assert LatestPointer.from_index(index) == pointer
        assert ("dev.slipway.forced" in index["annotations"]) is bool(pointer.forced)
