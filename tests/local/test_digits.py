"""The sample of digits: its models can be published, and its golden set distinguishes them."""

from pathlib import Path

import pytest

from deployments.local.demo import digits
from flows.core.duel.verdict import Verdict
from flows.services.models import golden_set_files, model_check
from tests.support import digits_duel


@pytest.mark.parametrize("version", digits.VERSIONS)
def test_its_models_can_be_published(version: str) -> None:
    file = digits.model(version) / "model.onnx"
    described = model_check.describe(file, file.with_name("manifest.json"), name=digits.NAME, version=version)
    model_check.check(file, described)


def test_its_golden_set_can_be_published(tmp_path: Path) -> None:
    folder = digits.write_golden_set(tmp_path / "golden")
    golden = golden_set_files.pack(folder, tmp_path / "inputs.tar", name=digits.NAME, version="")
    assert len(golden.examples) == 450
    assert golden.labels == tuple("0123456789")
    assert digits.write_golden_set(folder) == folder


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("1.1.0", Verdict.WORSE), ("1.2.0", Verdict.NOT_WORSE), ("1.0.0", Verdict.NOT_WORSE)],
)
def test_its_golden_set_distinguishes_its_models(version: str, verdict: Verdict) -> None:
    assert digits_duel.held(version).verdict is verdict
