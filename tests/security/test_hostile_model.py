"""What a person who may write to the model store gets: an error of ours that names the key or the limit.

A model is opened in a process with limits, and with nothing to steal.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.core.errors import DigestMismatch, ModelRejected, PermanentError
from flows.core.markdown import plain
from flows.core.model import manifest
from flows.core.model.graph import LOOKS, Graph
from flows.core.model.model import Model
from flows.services.models import blob_providers, model_process, model_program
from flows.services.models.model_cache import ModelCache
from flows.services.models.model_process import Limits, opened
from flows.services.models.model_store import ModelStore
from tests.security.hostile_graphs import endless, large, weights_elsewhere
from tests.services import tiny_model

DIGITS = Path(__file__).parent.parent / "app" / "models" / "digits" / "manifest.json"
STEPS: dict[str, Any] = tiny_model.AUTHOR["preprocessing"]
DIGEST = "sha256:" + "1" * 64
POINTER = {
    "name": "digits",
    "version": "1.0.0",
    "digest": DIGEST,
    "manifest_digest": DIGEST,
    "size": 1,
    "published": "2026-01-01T00:00:00Z",
}


def manifest_with(**changes: Any) -> bytes:
    facts = {
        "name": "digits",
        "version": "1.0.0",
        "digest": DIGEST,
        "size": 1,
        "created": "2026-01-01T00:00:00Z",
    }
    return json.dumps(json.loads(DIGITS.read_text()) | facts | changes).encode()


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """The store, as its writers see it."""
    folder = tmp_path / "container"
    (folder / "digits" / "1.0.0").mkdir(parents=True)
    return folder


@pytest.fixture
def store(container: Path, tmp_path: Path) -> ModelStore:
    return ModelStore(blob_providers.folder(container), tmp_path / "cache")


def running(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """What comes back where the process runs this instead."""
    file = folder / "program.py"
    file.write_text(program)
    monkeypatch.setattr(model_process, "model_program", SimpleNamespace(__file__=str(file)))
    return opened(tiny_model.write_onnx(folder / "tiny.onnx"), "it", STEPS, limits=Limits(seconds=20))


GIVES_UP = """
import os, resource, sys
sys.path.insert(0, {folder!r})
import model_program
model_program._leave_network()
model_program._limit({{"memory": 1 << 30, "seconds": 60}})
secret = open({secret!r}).read()
model_program._drop_rights()
try:
    open({secret!r})
    raise SystemExit("it reads what is root's")
except PermissionError:
    pass
interfaces = [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]
found = [os.getuid(), os.getgid(), os.getgroups(), resource.getrlimit(resource.RLIMIT_AS)[1], interfaces]
raise SystemExit(str(found))
"""


class TestHostileModel:
    @pytest.mark.parametrize(
        "changes",
        [
            {"digest": "/usr/lib/x86_64", "manifest_digest": "linux-gnu/../../../root"},
            {"version": "../../other"},
            {"version": "latest.json"},
            {"size": -1},
            {"name": "another"},
            {"published": "2026-13-45T99:99:99Z"},
        ],
    )
    def test_its_pointer_leads_nowhere(
        self, container: Path, store: ModelStore, tmp_path: Path, changes: dict[str, Any]
    ) -> None:
        precious = tmp_path / "cache" / "precious"
        precious.mkdir(parents=True)
        (container / "digits" / "latest.json").write_text(json.dumps(POINTER | changes))
        with pytest.raises(ModelRejected, match=r"latest\.json in .* is no pointer to a model: key"):
            store.newest("digits")
        assert precious.is_dir()

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 50_000, b'{"a":' * 5000])
    def test_what_is_no_pointer_no_pin_and_no_manifest_is_an_error_of_ours(
        self, container: Path, store: ModelStore, content: bytes
    ) -> None:
        for name in ("latest.json", "1.0.0/manifest.json", "pin.json"):
            (container / "digits" / name).write_bytes(content)
        asks: tuple[Callable[[], object], ...] = (
            lambda: store.newest("digits"),
            lambda: store.find("digits", "1.0.0"),
        )
        for ask in asks:
            with pytest.raises(PermanentError):
                ask()
        if content:
            with pytest.raises(ModelRejected, match="is no pin"):
                store.pinned("digits")

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"created": "2026-13-45T99:99:99Z"}, "created"),
            ({"created": "0000-00-00T00:00:00Z"}, "created"),
            ({"labels": []}, "labels"),
            ({"size": 1.5}, "size"),
            ({"description": {"a": "b"}}, "description"),
            ({"examples": [{"name": "a"}]}, "examples.0.input"),
        ],
    )
    def test_its_manifest_is_refused_by_the_key(self, changes: dict[str, Any], named: str) -> None:
        with pytest.raises(ModelRejected, match=rf"manifest\.json: key '{named}'"):
            manifest.parse(manifest_with(**changes), source="manifest.json")

    def test_half_a_character_is_no_json(self) -> None:
        content = manifest_with(description="x").replace(b'"x"', b'"\\ud800"')
        with pytest.raises(ModelRejected, match="is not valid JSON"):
            manifest.parse(content, source="manifest.json")

    def test_a_file_that_is_not_what_its_manifest_promises_is_not_kept(
        self, container: Path, store: ModelStore, tmp_path: Path
    ) -> None:
        folder = container / "digits" / "1.0.0"
        (folder / "manifest.json").write_bytes(manifest_with())
        (folder / "model.onnx").write_bytes(b"!")
        with pytest.raises(DigestMismatch, match="was not kept"):
            store.fetch(store.find("digits", "1.0.0"))
        assert not list((tmp_path / "cache").rglob("model.onnx"))

    def test_its_description_is_plain_text_on_a_page(self) -> None:
        text = "![x](https://evil.example/seen.png) <script>"
        found = manifest.parse(manifest_with(description=text), source="manifest.json")
        assert plain(found.description) == "\\!\\[x\\]\\(https\\://evil.example/seen.png) \\<script>"

    def test_a_digest_that_is_a_path_is_refused_and_nothing_outside_is_touched(self, tmp_path: Path) -> None:
        """A pointer could name such digests: more users write to the store than to this machine."""
        outside = tmp_path / "linux-gnu"
        outside.mkdir()
        (tmp_path / "root").mkdir()
        (tmp_path / "root" / "kept").touch()
        cache = ModelCache(tmp_path / "cache")
        cache.folder.mkdir()
        harmful = Model("tiny", "1.0.0", str(tmp_path / "linux"), "gnu/../root", 1)
        with pytest.raises(DigestMismatch, match="a digest that is none"):
            cache.find(harmful)
        assert (tmp_path / "root" / "kept").exists()

    def test_memory_finds_a_limit(self, tmp_path: Path) -> None:
        graph = opened(large(tmp_path, 1 << 30), "it", STEPS)
        assert all("Failed to allocate memory" in answer.error for answer in graph.answers)

    def test_time_finds_a_limit(self, tmp_path: Path) -> None:
        with pytest.raises(
            ModelRejected, match=r"it can't be opened within 2 s and \d+ MB of memory: .* signal"
        ):
            opened(endless(tmp_path), "it", STEPS, limits=Limits(seconds=2))

    @pytest.mark.parametrize(
        "location", ["weights.bin", "../weights.bin", "/etc/hostname", "/proc/self/environ"]
    )
    def test_no_other_file_is_read_for_its_weights(self, tmp_path: Path, location: str) -> None:
        (tmp_path / "weights.bin").write_bytes(bytes(12))
        with pytest.raises(ModelRejected, match=r"does not load: .*[Ee]xternal data"):
            opened(weights_elsewhere(tmp_path, location), "it", STEPS)

    def test_it_gets_no_variable_of_the_worker_and_an_empty_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SLIPWAY_REGISTRY_PASSWORD", "s3cret")
        look = "import os, json; print(json.dumps({'error': json.dumps([*os.environ, *os.listdir()])}))"
        with pytest.raises(ModelRejected) as refused:
            running(look, tmp_path, monkeypatch)
        assert "SLIPWAY" not in refused.value.happened
        assert set(json.loads(refused.value.happened.partition("load: ")[2].rstrip("."))) <= {
            "ORT_DISABLE_TELEMETRY",
            "OPENBLAS_NUM_THREADS",
            "LC_CTYPE",  # the interpreter's own
        }

    @pytest.mark.parametrize(
        ("program", "expected"),
        [
            ("import os; os.kill(os.getpid(), 11)", "ended with signal 11"),
            ("raise SystemExit('no such thing')", "exit status 1. no such thing."),
            ("print('{')", "ended with exit status 0"),
            ("while True: print('x' * 1000)", "can't be opened within"),
            ('print(\'{"answers": [{"finite": 1}]}\')', "ended with exit status 0"),
        ],
        ids=["killed", "fails", "half an answer", "an answer without end", "another answer"],
    )
    def test_whatever_becomes_of_it_is_an_error_of_ours(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, expected: str
    ) -> None:
        with pytest.raises(ModelRejected, match=expected):
            running(program, tmp_path, monkeypatch)

    def test_what_it_says_counts_also_where_it_ends_before_it_has_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model_process, "LOOKS", LOOKS * 10_000)  # more than a pipe holds
        with pytest.raises(ModelRejected, match=r"exit status 1\. no such thing"):
            running("raise SystemExit('no such thing')", tmp_path, monkeypatch)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
    def test_a_worker_that_is_root_opens_models_as_an_unprivileged_user_and_without_a_network(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret = tmp_path / "secret"
        secret.touch(mode=0o600)
        program = GIVES_UP.format(folder=str(Path(model_program.__file__).parent), secret=str(secret))
        with pytest.raises(ModelRejected, match=r"\[65534, 65534, \[\], 1073741824, \['lo'\]\]"):
            running(program, tmp_path, monkeypatch)
