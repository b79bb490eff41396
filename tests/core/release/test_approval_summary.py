"""What a person reads before they approve a release."""

from dataclasses import replace

from flows.core.build.content import ModelVersion
from flows.core.release.approval_summary import describe
from flows.core.release.decision import Request
from tests.core.releases import candidate, released

ASKED = Request("production", reason="the new title", asked_by="Ada")


def test_commits_model_and_who_asked_are_named() -> None:
    other_model = replace(
        candidate(),
        content=replace(candidate().content, model=ModelVersion("digits", "1.1.0", "sha256:" + "2" * 64)),
    )
    summary = describe(
        ASKED, other_model, (), released(), ["bbbbbbb A new title (Ada)", "abababa A test (Bob)"]
    )
    assert "Release bbbbbbb + digits 1.1.0 to production?" in summary
    assert "live now: aaaaaaa + digits 1.0.0" in summary
    assert "model: digits 1.0.0 → digits 1.1.0" in summary
    assert "asked by: Ada, because: the new title" in summary
    assert "2 commits" in summary
    assert "bbbbbbb A new title (Ada)" in summary


def test_of_many_commits_the_first_twenty_are_listed() -> None:
    summary = describe(
        ASKED, candidate(), (), released(), [f"c{number} A change (Ada)" for number in range(25)]
    )
    assert "c19 A change" in summary
    assert "c20 A change" not in summary
    assert "and 5 more" in summary


def test_a_first_release_and_an_unknown_way_between_say_so() -> None:
    assert "live now: nothing" in describe(ASKED, candidate(), (), None, [])
    assert "could not be listed" in describe(ASKED, candidate(), (), released(), None)
    assert "unchanged" in describe(ASKED, candidate(), (), released(), [])


def configmap(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_the_diff_of_the_manifests_is_shown_object_by_object() -> None:
    before = (configmap("settings", level="debug"), configmap("old", a="1"))
    after = (configmap("settings", level="info"),)
    summary = describe(ASKED, candidate(), after, released(objects=before), [])
    assert "```diff" in summary
    assert "-  level: debug\n+  level: info" in summary
    assert "--- live/ConfigMap/old" in summary


def test_the_image_and_what_names_the_release_are_no_change_of_the_manifests() -> None:
    def deployment(image: str, number: str) -> dict[str, object]:
        annotations = {"slipway.dev/release": number}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "app", "annotations": annotations},
            "spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
        }

    live = released(objects=(deployment(str(released().image), "1"),))
    summary = describe(ASKED, candidate(), (deployment(str(candidate().image), "2"),), live, [])
    assert "manifests: unchanged, but for the image" in summary


def test_values_of_secrets_are_not_shown_but_their_change_is() -> None:
    def secret(value: str) -> dict[str, object]:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": value}}

    summary = describe(
        ASKED, candidate(), (secret("new-password"),), released(objects=(secret("old-password"),)), []
    )
    assert "password" not in summary
    assert summary.count("key: (secret, ") == 2


def test_a_line_with_backticks_does_not_end_the_block() -> None:
    summary = describe(ASKED, candidate(), (configmap("s", a="```\n# Approved"),), released(), [])
    assert "````diff" in summary


def test_marks_that_turn_the_direction_of_writing_are_not_shown() -> None:
    summary = describe(ASKED, candidate(), (configmap("s", a="admin\u202e"),), released(), [])
    assert "+  a: admin\n" in summary
