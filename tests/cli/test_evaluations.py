"""The golden sets of the model, listed."""

import json
from pathlib import Path

import pytest

from flows.config.load import CHECKOUT
from flows.services.models import blob_providers
from flows.services.models.golden_set_store import GoldenSetStore
from tests.cli.conftest import Prefect, Slipway
from tests.services import golden_sets

pytestmark = [pytest.mark.platform, pytest.mark.apart]


@pytest.fixture
def configured(slipway: Slipway, prefect: Prefect, tmp_path: Path) -> Slipway:
    """The program with models in a folder."""
    text = (CHECKOUT / "slipway.toml").read_text()
    before, _, rest = text.partition("[model]\n")
    after = rest[rest.index("\n[registry]") :]
    (tmp_path / "models").mkdir()
    table = f'[model]\nname = "digits"\nstore = "file://{tmp_path}/models"\n'
    (tmp_path / "slipway.toml").write_text(before + table + after)
    return Slipway({**slipway.variables, "SLIPWAY_CONFIG": str(tmp_path / "slipway.toml")})


def test_the_versions_of_the_golden_set_are_listed_and_the_one_that_duels_take_is_marked(
    configured: Slipway, tmp_path: Path
) -> None:
    assert configured("evaluation", "list").output.splitlines() == ["MODEL  GOLDEN SET"]
    store = GoldenSetStore(blob_providers.folder(tmp_path / "models"), tmp_path / "cache")
    for version in ("1", "2"):
        store.publish(*golden_sets.packed(tmp_path / version, version))

    rows = configured("evaluation", "list").output.splitlines()[1:]
    assert sorted(" ".join(row.split()) for row in rows) == ["digits 1", "digits 2 the next duel takes it"]
    content = json.loads(configured("evaluation", "list", "--json").output)
    assert (content["model"], sorted(content["versions"]), content["newest"]) == ("digits", ["1", "2"], "2")
