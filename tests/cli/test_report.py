"""The report of a duel, fetched from the results storage."""

import json
from pathlib import Path

import pytest

from flows.config.load import CHECKOUT
from flows.services.models import blob_providers
from flows.services.models.duel_reports import DuelReports
from tests.cli.conftest import Prefect, Slipway

pytestmark = [pytest.mark.platform, pytest.mark.apart]


@pytest.fixture
def configured(slipway: Slipway, tmp_path: Path) -> Slipway:
    """The program with results in a folder."""
    text = (CHECKOUT / "slipway.toml").read_text()
    before, _, rest = text.partition("[results]")
    after = rest[rest.index("\n[duel]") :]
    (tmp_path / "results").mkdir()
    table = f'[results]\nstore = "file://{tmp_path}/results"\n'
    (tmp_path / "slipway.toml").write_text(before + table + after)
    return Slipway({**slipway.variables, "SLIPWAY_CONFIG": str(tmp_path / "slipway.toml"), "BROWSER": "true"})


def test_the_report_of_a_run_is_written_to_a_file(
    configured: Slipway, prefect: Prefect, tmp_path: Path
) -> None:
    run = prefect.create("ci/commit", "4f2c9e1 + digits 1.1.0 on main")
    DuelReports(blob_providers.folder(tmp_path / "results")).keep(run, "<h1>The duel: worse</h1>")

    found = configured("report", run[-12:], "--output", str(tmp_path / "report.html"), "--json")

    assert found.status == 0, found.errors
    assert json.loads(found.output)["file"] == str(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "<h1>The duel: worse</h1>"
    opened = Path(configured("report", run[-12:]).last_line)
    assert opened.read_text() == "<h1>The duel: worse</h1>"


def test_a_run_without_a_duel_says_so(configured: Slipway, prefect: Prefect) -> None:
    run = prefect.create("ci/commit", "4f2c9e1 + digits 1.1.0 on main")
    found = configured("report", run[-12:])
    assert found.status == 1
    assert "has no report of a duel: it held none, or housekeeping has deleted it" in found.errors
