"""How a run comes to its stores: by which keys of slipway.toml, with credentials of when they are used."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flows.config import load as configuration
from flows.core.errors import GoldenSetRejected, SettingsError
from flows.credentials import environment
from flows.services.models.transfer import no_progress
from flows.stages import ci, publish_evaluation, publish_model
from flows.stages.context import opened
from tests.services import golden_sets, tiny_model

OLD = """[model]
name = "tiny"
container = "models"
credentials = "slipway-blob-store"
"""

Written = Callable[[str], None]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Writes slipway.toml with another table [model], for a run by hand with a state folder of its own."""
    for name in environment.NAMES:
        monkeypatch.delenv(name, raising=False)
    text = (configuration.CHECKOUT / "slipway.toml").read_text()
    before, _, rest = text.partition("[model]\n")
    after = rest[rest.index("\n[registry]") :]
    file = tmp_path / "slipway.toml"
    monkeypatch.setenv("SLIPWAY_CONFIG", str(file))
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path / "state"))

    def write(table: str) -> None:
        file.write_text(before + table + after)

    return write


def test_a_run_logs_once_what_to_write_for_an_old_key(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(OLD)
    monkeypatch.setenv(environment.ACCOUNT_URL, "https://acme.blob.core.windows.net")
    said: list[str] = []
    with opened("run-1", said.append, no_progress, environment) as run:
        for _ in range(2):
            assert run.models
    assert said == [
        'slipway.toml: container in [model] has another name by now: write store = "az://models".'
    ]


def test_the_credentials_of_a_store_are_asked_for_at_each_use(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(OLD)
    with opened("run-1", print, no_progress, environment) as run:
        with pytest.raises(SettingsError, match="no credentials for the blob store"):
            assert run.models
        monkeypatch.setenv(environment.ACCOUNT_URL, "https://acme.blob.core.windows.net")
        assert run.models


def test_models_in_a_folder_need_no_block(written: Written, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    written(f'[model]\nname = "tiny"\nstore = "file://{tmp_path}/models"\n')
    file, described = tiny_model.write(tmp_path / "tiny", "1.0.0", b"weights")
    with opened("run-1", print, no_progress, environment) as run:
        published = publish_model.upload_model(run, file, described)
        assert ci.resolve_model(run, ci.WANTED) == published.model
    assert (tmp_path / "models" / "tiny" / "1.0.0" / "model.onnx").read_bytes() == b"weights"


def test_a_golden_set_lies_beside_the_models(written: Written, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    written(f'[model]\nname = "tiny"\nstore = "file://{tmp_path}/models"\n')
    folder, said = golden_sets.write(tmp_path / "labelled"), list[str]()
    with opened("run-1", said.append, no_progress, environment) as run:
        packed = publish_evaluation.pack_golden_set(run, folder, "tiny", "1")
        assert publish_evaluation.check_labels(run, packed) == ""
        assert "has no published model with a manifest" in said[-1]
        published = publish_evaluation.upload_golden_set(run, packed)
        assert run.golden_sets.newest("tiny") == published.golden
    assert (tmp_path / "models" / "evaluations" / "tiny" / "1" / "manifest.json").is_file()


def test_a_golden_set_of_labels_that_the_newest_model_lacks_is_refused(
    written: Written, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    written(f'[model]\nname = "tiny"\nstore = "file://{tmp_path}/models"\n')
    folder = golden_sets.write(tmp_path / "labelled")
    file, described = tiny_model.write(
        tmp_path / "tiny", "1.0.0", b"weights", labels=["dark", "grey", "bright"]
    )
    with opened("run-1", print, no_progress, environment) as run:
        publish_model.upload_model(run, file, described)
        packed = publish_evaluation.pack_golden_set(run, folder, "tiny", "1")
        with pytest.raises(GoldenSetRejected, match=r"tiny 1\.0\.0 does not know 10 of 10 labels"):
            publish_evaluation.check_labels(run, packed)
