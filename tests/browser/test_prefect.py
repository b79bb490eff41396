"""What ops see and do in Prefect's UI: its second version behind the front door, its first behind links."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Response, expect

from flows.core.duel.page import markdown_page
from tests.browser.conftest import Shot
from tests.support import digits_duel
from tests.support.prefect_client import asking
from tests.support.released import Released
from tests.support.waiting import wait_until

STAGES = {"run tests", "fetch model", "build code half", "compose image", "smoke test", "tag image"}
APPROVAL = {
    "SLIPWAY_ENVIRONMENTS__PRODUCTION__APPROVAL": "true",
    "SLIPWAY_ENVIRONMENTS__PRODUCTION__SOAK": "2",
}


def test_the_runs_page_shows_what_each_run_is_called(prefect: Page, released: Released, shot: Shot) -> None:
    prefect.get_by_role("link", name="Runs").click()
    search = prefect.get_by_placeholder(re.compile("run name|runs by name", re.IGNORECASE)).first
    for run in (released.publication, released.build, released.release):
        name = released.platform.api.flow_run(run.id).name
        search.fill(name)
        expect(prefect.locator(f"a[href$='/{run.id}']", has_text=name).first).to_be_visible()
    search.fill("")
    prefect.mouse.wheel(0, 1000)
    shot("runs", prefect)


def test_the_page_of_a_run_draws_its_stages_and_shows_its_artifacts(
    prefect: Page, released: Released, shot: Shot
) -> None:
    with prefect.expect_response(re.compile("/graph-v2")) as graph:
        prefect.goto(released.platform.api.run_url(released.build))
    nodes = graph.value.json()["nodes"]
    assert {node["label"].rpartition("-")[0] for _, node in nodes} >= STAGES
    expect(prefect.locator("canvas")).to_be_visible()
    prefect.wait_for_load_state("networkidle")
    shot("run", prefect)
    with prefect.expect_response(re.compile("/artifacts/filter")) as listed:
        prefect.get_by_text("Artifacts", exact=True).click()
    named = [artifact for artifact in listed.value.json() if artifact["key"]]
    for artifact in named:
        expect(card(prefect, artifact)).to_contain_text(artifact["key"])
    card(prefect, next(one for one in named if "## Stages" in str(one["data"]))).click()
    for text in (released.commit[:7], "classifier 1.0.0", *STAGES):
        expect(prefect.get_by_role("cell", name=text).first).to_be_visible()
    shot("report", prefect)


def test_a_run_is_started_from_the_form_of_its_deployment_and_ends_well(
    prefect: Page, released: Released, shot: Shot
) -> None:
    prefect.get_by_role("link", name="Deployments").click()
    prefect.get_by_role("link", name="commit", exact=True).click()
    prefect.get_by_role("button", name="Run", exact=True).click()
    prefect.get_by_role("menuitem", name="Custom run").click()
    ref = prefect.get_by_role("textbox", name="ref")
    expect(ref).to_have_value("HEAD")
    ref.fill(released.commit[:10])
    shot("form", prefect)
    run = released.platform.api.flow_run(submitted(prefect)["id"])
    prefect.get_by_role("link", name="View run").click()
    ended = released.platform.wait(run)
    expect(prefect.get_by_text("Completed", exact=True).filter(visible=True).first).to_be_visible()
    assert ended.message.startswith(f"{released.commit[:7]} + classifier 1.0.0: nothing to build")


def test_an_approval_is_given_on_the_page_of_the_run_and_the_release_goes_on(
    prefect: Page, released: Released, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = released.platform
    asked = {"environment": "production", "force": True, "reason": "a demo", "by": "Ada"}
    monkeypatch.setenv("SLIPWAY_STATE", str(platform.instance.state))
    monkeypatch.setenv("SLIPWAY_SOURCE__REPOSITORY", str(platform.source))  # which has the image's commit
    for key, value in APPROVAL.items():
        monkeypatch.setenv(key, value)
    run = platform.own().start("release/on-demand", **asked)
    wait_until(lambda: platform.api.flow_run(run.id).state == "PAUSED", "The run does not pause")
    prefect.goto(platform.api.run_url(run))
    prefect.get_by_role("button", name="Resume").click()
    form = prefect.get_by_role("dialog")
    expect(form).to_contain_text("asked by: Ada, because: a demo")
    form.get_by_role("switch").click()
    expect(form.get_by_role("switch")).to_be_checked()
    field(form, "Name").fill("Bob")
    field(form, "Comment").fill("fine")
    shot("approval", prefect)
    form.get_by_role("button", name="Submit").click()
    expect(form).to_be_hidden()
    ended = platform.wait(run)
    assert (ended.state, ended.state_name) == ("COMPLETED", "Completed"), ended.message
    assert "approved by Bob: fine" in platform.log(run)


def test_the_report_of_a_duel_shows_its_plots_and_pictures(
    prefect: Page, released: Released, shot: Shot
) -> None:
    duel = digits_duel.held("1.1.0")
    text = markdown_page(duel, "stays because of the verdict", digits_duel.thumbnails(duel))
    artifact = {"key": "duel", "type": "markdown", "data": text, "description": f"The duel: {duel}"}
    with asking(released.platform.api) as client:
        made = client.post("/artifacts/", json=artifact).raise_for_status().json()
    prefect.goto(f"{released.platform.api.ui_url}/artifacts/artifact/{made['id']}")
    expect(prefect.get_by_role("heading", name="The duel: worse")).to_be_visible()
    shown = prefect.locator("img[src^='data:image/']")
    expect(shown).to_have_count(2 + 20)
    for width in (640, 48):  # of the plots, and of the pictures
        drawn = prefect.wait_for_function(
            "width => [...document.querySelectorAll('img')].filter(one => one.naturalWidth == width).length",
            arg=width,
        )
        assert drawn.json_value() == (2 if width == 640 else 20)
    shot("duel", prefect)


def submitted(form: Page) -> dict[str, Any]:
    """The run that the server makes of the form; sent again, as a person would, while it is too busy."""
    answers: list[Response] = []

    def is_taken() -> bool:
        with form.expect_response(re.compile("/create_flow_run")) as created:
            form.get_by_role("button", name="Submit").click()
        answers.append(created.value)
        return created.value.ok

    wait_until(is_taken, "The form is not taken")
    run: dict[str, Any] = answers[-1].json()
    return run


def field(within: Page | Locator, title: str) -> Locator:
    """Where the value of a parameter is typed."""
    label = f".schema-form-property__label:text-matches('^{title}')"
    return within.locator(f".schema-form-property:has({label}) textarea")


def card(page: Page, artifact: dict[str, Any]) -> Locator:
    """What leads to the artifact, among those of its run."""
    return page.locator(f"a[href$='/{artifact['id']}']")
