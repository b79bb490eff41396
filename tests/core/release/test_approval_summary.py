"""What a person reads before they approve a release."""

from dataclasses import replace

from flows.core.build.content import ModelVersion
from flows.core.release.approval_summary import describe
from flows.core.release.decision import Request
from tests.core.releases import candidate, released

ASKED = Request("production", reason="the new title", asked_by="Ada")


def test_commits_model_and_who_asked_are_told() -> None:
    other_model = replace(
        candidate(),
        content=replace(candidate().content, model=ModelVersion("digits", "1.1.0", "sha256:" + "2" * 64)),
    )
    told = describe(ASKED, other_model, released(), ["bbbbbbb A new title (Ada)", "abababa A test (Bob)"])
    assert "Release bbbbbbb + digits 1.1.0 to production?" in told
    assert "live now: aaaaaaa + digits 1.0.0" in told
    assert "model: digits 1.0.0 → digits 1.1.0" in told
    assert "asked by: Ada, because: the new title" in told
    assert "2 commits" in told
    assert "bbbbbbb A new title (Ada)" in told


def test_of_many_commits_the_first_twenty_are_listed() -> None:
    told = describe(ASKED, candidate(), released(), [f"c{number} A change (Ada)" for number in range(25)])
    assert "c19 A change" in told
    assert "c20 A change" not in told
    assert "and 5 more" in told


def test_a_first_release_and_an_unknown_way_between_say_so() -> None:
    assert "live now: nothing" in describe(ASKED, candidate(), None, [])
    assert "could not be asked" in describe(ASKED, candidate(), released(), None)
    assert "unchanged" in describe(ASKED, candidate(), released(), [])
