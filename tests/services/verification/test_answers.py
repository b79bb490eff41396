"""What is asked may answer anything: it is a `ProofFailed`, which says whose answer it was."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.core.errors import ProofFailed
from flows.core.model import manifest as manifests
from flows.services.verification import probe
from flows.services.verification.public_endpoint import PublicEndpoint
from tests.stand_ins.http_server import JsonHandler, serving

MODELS = Path(__file__).parents[2] / "app" / "models"
IDENTITY = {"capsule": "c", "commit": "1", "model": {"name": "m", "version": "1", "digest": "d"}}


@contextmanager
def answering(body: bytes) -> Iterator[PublicEndpoint]:
    """A replica that gives every request this answer."""

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("X-Served-By", "app-1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:  # as above
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

    with serving(Handler) as url:
        yield PublicEndpoint(url)


def scores(percent: str) -> bytes:
    return f'{{"result": [[["day", {percent}], ["night", 5.0]]]}}'.encode()


def test_a_score_is_read_as_it_is_written() -> None:
    with answering(scores("95.5")) as edge:
        assert probe.score(edge, "aGk=").best == [("day", 95.5), ("night", 5.0)]


@pytest.mark.parametrize("percent", ["NaN", "Infinity", "-Infinity", "1e999", '"nan"', "null", "1" * 400])
def test_a_percent_that_is_no_finite_number_fails_the_proof(percent: str) -> None:
    with answering(scores(percent)) as edge, pytest.raises(ProofFailed, match="as it must") as failure:
        probe.score(edge, "aGk=")
    assert (failure.value.fault, failure.value.pod) == ("image", "app-1")


MALFORMED = {
    "nothing": b"",
    "no JSON": b"<html>",
    "no object": b"[]",
    "no result": b"{}",
    "no picture": b'{"result": []}',
    "a label that is none": b'{"result": [[[1, 5.0]]]}',
    "nested without end": b"[" * 100_000,
    "not UTF-8": b"\xff\xfe",
    "wrong everywhere": json.dumps({"result": [[["x" * 9000, "y"]] * 50]}).encode(),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_an_answer_of_another_form_fails_the_proof_in_few_words(body: bytes) -> None:
    with answering(body) as edge:
        asks: tuple[Callable[[], object], ...] = (
            lambda: probe.score(edge, "aGk="),
            lambda: probe.version(edge),
        )
        for ask in asks:
            with pytest.raises(ProofFailed, match="does not answer as it must") as failure:
                ask()
            assert failure.value.pod == "app-1"
            assert len(str(failure.value)) < 1200


def test_an_identity_with_more_keys_is_read() -> None:
    with answering(json.dumps({**IDENTITY, "built": "today"}).encode()) as edge:
        assert probe.version(edge) == probe.Version("app-1", "c", "1", "m 1", "d")


def test_a_model_that_answers_nan_to_its_examples_fails_the_proof() -> None:
    manifest = manifests.parse((MODELS / "digits" / "manifest.json").read_bytes(), source="digits")
    labels = json.dumps({"result": [[[label, float("nan")] for label in manifest.labels[:3]]]}).encode()
    with answering(labels) as edge, pytest.raises(ProofFailed, match="finite number"):
        probe.check_examples(edge, manifest)
