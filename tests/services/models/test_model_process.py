"""What a process of its own finds in a model. What a hostile model does there: tests/security."""

from pathlib import Path
from typing import Any

import pytest

from flows.core.errors import ModelRejected
from flows.services.models import model_program
from flows.services.models.model_process import opened
from tests.services import tiny_model

STEPS: dict[str, Any] = tiny_model.AUTHOR["preprocessing"]


def test_a_graph_is_described_and_asked(tmp_path: Path) -> None:
    graph = opened(tiny_model.write_onnx(tmp_path / "tiny.onnx"), "it", STEPS)
    assert [tensor.name for tensor in (*graph.inputs, *graph.outputs)] == ["pixels", "scores"]
    assert [answer.shape for answer in graph.answers] == [(1, 3), (2, 3), (1, 3), (1, 3), (1, 3)]
    assert all(answer.finite for answer in graph.answers)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_model_whose_end_is_missing_is_refused_as_such(tmp_path: Path, share: float) -> None:
    file = tiny_model.write_onnx(tmp_path / "tiny.onnx")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelRejected, match=r"it is no ONNX model, or is cut off: .* Upload the whole model"):
        opened(file, "it", STEPS)


WITHOUT_LATE_IMPORTS = """
import importlib.util
import sys

class Late:
    def find_spec(self, name, *_):
        raise ImportError(f"{name} is imported late")

spec = importlib.util.spec_from_file_location("model_program", FILE)
program = importlib.util.module_from_spec(spec)
spec.loader.exec_module(program)
program._drop_rights = lambda: sys.meta_path.insert(0, Late())
program.main()
"""


def test_nothing_is_imported_once_the_process_has_given_up_its_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Python or .venv are in a folder that root alone may read, such as /root."""
    program = tmp_path / "program.py"
    program.write_text(f"FILE = {model_program.__file__!r}\n{WITHOUT_LATE_IMPORTS}")
    monkeypatch.setattr(model_program, "__file__", str(program))
    graph = opened(tiny_model.write_onnx(tmp_path / "tiny.onnx"), "it", STEPS)
    assert [answer.error for answer in graph.answers if answer.error] == []
    assert all(answer.finite for answer in graph.answers)
