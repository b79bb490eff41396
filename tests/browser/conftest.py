"""Chromium without a window, signed in at the platform's Prefect: only what a person sees is asked of it."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.still_network import still_network
from tests.support.released import Released
from tests.support.waiting import LIMIT

SCREENSHOTS = "SLIPWAY_TEST_SCREENSHOTS"
"""The folder that screenshots are kept in; without it, none are."""

COLOURS = 64
PATIENCE = LIMIT * 1000
"""Milliseconds that a page has while all cores are busy with something else."""

Shot = Callable[[str, Page], None]


@pytest.fixture(scope="module")
def chromium(released: Released) -> Iterator[Browser]:
    """Started last, as Playwright's loop would be in the way of everything that runs one of its own."""
    expect.set_options(timeout=PATIENCE)
    ports = released.platform.instance.ports
    with still_network([ports.prefect_port, ports.app_port, ports.staging_port]) as network:
        with network.entered():
            playwright = sync_playwright().start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield browser
        browser.close()
        playwright.stop()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """An empty page without a sign-in."""
    context = chromium.new_context(viewport={"width": 1200, "height": 720}, color_scheme="dark")
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture
def prefect(page: Page, released: Released) -> Page:
    """Prefect's UI, signed in where it asks for that."""
    page.goto(released.platform.api.ui_url)
    password = page.locator("input[type=password]")
    expect(password.or_(page.get_by_role("link", name="Runs")).first).to_be_visible()
    if password.is_visible():
        password.fill(released.platform.environment["PREFECT_API_AUTH_STRING"])
        page.get_by_role("button", name="Login").click()
        expect(page.get_by_role("link", name="Runs")).to_be_visible()
    return page


@pytest.fixture
def shot() -> Shot:
    """Keeps what a page shows as a small PNG of that name, where screenshots are wanted."""
    folder = os.environ.get(SCREENSHOTS)

    def keep(name: str, page: Page) -> None:
        if folder is not None:
            seen = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
            seen.convert("RGB").quantize(COLOURS).save(Path(folder) / f"{name}.png", optimize=True)

    return keep
