"""What users do on the application's own page, through the edge."""

import base64

import pytest
from playwright.sync_api import FilePayload, Page, expect

from deployments.local.network import edge
from deployments.local.platform_file import WrittenSettings
from tests.browser.conftest import Shot
from tests.support.released import Released


def test_the_page_classifies_a_photo(
    page: Page, released: Released, settings: WrittenSettings, shot: Shot
) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    chelsea = next(example for example in released.manifest.examples if "chelsea" in example.name)
    page.goto(edge.browser_url(released.platform.instance, settings, "production"))
    expect(page.get_by_text("classifier 1.0.0 knows 1000 labels")).to_be_visible()
    photo = base64.b64decode(chelsea.input)
    page.get_by_label("Choose pictures").set_input_files(
        FilePayload(name="chelsea.jpg", mimeType="image/jpeg", buffer=photo)
    )
    answer = page.get_by_role("list", name="Answers").get_by_role("listitem").first
    expect(answer).to_contain_text("chelsea.jpg")
    label, percent = chelsea.expected[0]
    expect(answer).to_contain_text(label)
    shown = answer.locator(".percent").first.inner_text().removesuffix(" %")
    assert float(shown) == pytest.approx(percent, abs=chelsea.tolerance)
    expect(page.get_by_role("status")).to_contain_text("by classifier-")
    assert complaints == []
    shot("app", page)
