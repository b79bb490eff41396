import pytest

from flows.core.image import Image
from flows.core.release import Live, Release, Skip, decide

WANTED = Image("registry/classifier", "sha256:" + "a" * 64)
OTHER = Image("registry/classifier", "sha256:" + "b" * 64)


def live(image: Image = WANTED, manifests: str = "same", *, settled: bool = True) -> Live:
    return Live(image, capsule="", commit="", model="", manifests=manifests, replicas=3, settled=settled)


@pytest.mark.parametrize(
    ("found", "force", "expected"),
    [
        (None, False, Release("nothing is live yet")),
        (live(), False, Skip("sha256:aaaaaaaaaaaa is live already")),
        (live(), True, Release("forced")),
        (live(OTHER), False, Release("sha256:bbbbbbbbbbbb is live")),
        (live(manifests="before"), False, Release("the manifests changed")),
        (live(settled=False), False, Release("its last rollout has not ended well")),
    ],
    ids=["empty", "live already", "forced", "another image", "other manifests", "unfinished rollout"],
)
def test_a_release_is_due_unless_the_very_same_is_live(
    found: Live | None, force: bool, expected: Release | Skip
) -> None:
    assert decide(WANTED, "same", found, force=force) == expected
