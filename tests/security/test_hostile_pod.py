"""What a pod that lies gets from the worker that asks it: a failed release at most.

No more is read of its answers, log and metrics than their bounds allow.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.core.errors import ClusterUnavailable, PermanentError, ProofFailed
from flows.services.kubernetes.api import KubernetesApi
from flows.services.process.bounded import Bounds
from flows.services.verification import probe, soak
from flows.services.verification.connection import BOUNDS
from flows.services.verification.public_endpoint import PublicEndpoint
from tests.stand_ins.endless_server import endless_server
from tests.stand_ins.http_server import JsonHandler, serving

METRICS = """# TYPE app_requests counter
app_requests_total{route="/score",status="200"} 3.0
app_requests_total{route="/score",status="500"} 1.0
"""


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[PublicEndpoint]:
    class Handler(JsonHandler):
        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("X-Served-By", "app-1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = reply

    with serving(Handler) as address:
        yield PublicEndpoint(address)


BODIES = {
    "nothing": b"",
    "no JSON": b"\xff{",
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "deep nesting": b"[" * 100_000,
    "a list for a table": json.dumps({"capsule": "c", "commit": "c", "model": []}).encode(),
    "texts for a list": json.dumps({"result": "xy"}).encode(),
    "a list for a number": json.dumps({"result": [[["a", []]]]}).encode(),
    "a number without end": b'{"result": [[["a", 1' + b"0" * 400 + b"]]]}",
    "an empty result": json.dumps({"result": []}).encode(),
}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[KubernetesApi]:
    """An API server that passes on what has no end."""
    with endless_server() as url:
        content = {
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(content))
        yield KubernetesApi(file, "x")


class TestHostilePod:
    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
    def test_an_answer_of_another_form_fails_the_proof_and_names_the_pod(self, body: bytes) -> None:
        asks: tuple[Callable[[PublicEndpoint], object], ...] = (
            probe.version,
            lambda edge: probe.score(edge, "cGljdHVyZQ=="),
        )
        with answering(body) as edge:
            for ask in asks:
                with pytest.raises(ProofFailed, match="does not answer as it must") as failed:
                    ask(edge)
                assert failed.value.pod == "app-1"

    def test_its_words_move_no_cursor(self) -> None:
        with answering(b"\x1b[2J\x1b[H all is well\x00", 500) as edge, pytest.raises(ProofFailed) as failed:
            probe.version(edge)
        assert "all is well" in str(failed.value)
        assert str(failed.value).isprintable()

    @settings(
        max_examples=500,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.data())
    def test_its_metrics_are_counted_or_left_out(self, data: st.DataObject) -> None:
        text = METRICS
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(text)))
            odd = st.sampled_from(["NaN", "+Inf", "-1", '"', "{", "}", "\\", "# HELP", "1e999", "\n"])
            text = (
                text[:at] + data.draw(odd | st.text(max_size=3)) + text[at + data.draw(st.integers(0, 5)) :]
            )
        with suppress(ValueError, OverflowError):
            soak._counted(text)
        assert soak._read(lambda _pod: text, "app-1")

    def test_an_answer_without_end_fails_the_proof(self) -> None:
        with endless_server() as url:
            edge = PublicEndpoint(url)
            with pytest.raises(ProofFailed, match=f"/version answered with more than {BOUNDS.size} bytes"):
                probe.version(edge)
            assert not probe.is_ready(edge)

    def test_a_text_within_its_bounds_comes_whole(self, api: KubernetesApi) -> None:
        assert api.text("/small", bounds=Bounds(5, 10)) == "small"

    def test_a_text_without_end_is_cut_off(self, api: KubernetesApi) -> None:
        with pytest.raises(PermanentError, match="answers /body with more than 1000 bytes"):
            api.text("/body", bounds=Bounds(1000, 10))

    @pytest.mark.parametrize("path", ["/slow-body", "/slow-headers"])
    def test_a_text_that_comes_a_byte_at_a_time_has_a_deadline(self, api: KubernetesApi, path: str) -> None:
        with pytest.raises(ClusterUnavailable, match=f"{path} was not read within 0.3 s"):
            api.text(path, bounds=Bounds(1 << 20, 0.3))

    def test_a_list_without_end_is_cut_off(self, api: KubernetesApi) -> None:
        with pytest.raises(PermanentError, match="with more than"):
            api.get("/body")

    def test_what_a_compressed_text_unpacks_to_counts(self, api: KubernetesApi) -> None:
        with pytest.raises(PermanentError, match="with more than 1000 bytes"):
            api.text("/packed", bounds=Bounds(1000, 10))
