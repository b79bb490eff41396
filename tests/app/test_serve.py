import re
import socket
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.classifier import Classifier
from app.model import open_model
from app.serve import create_app

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept", ["*/*", "text/plain", "application/json", "", "text/plain, text/html;q=0.1"]
)
def test_load_balancers_get_the_answer_that_it_is_healthy(digits_client: FlaskClient, accept: str) -> None:
    answer = digits_client.get("/", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.mimetype, answer.text) == (200, "text/plain", "Healthy")
    assert answer.headers["Vary"] == "Accept"


def test_browsers_get_a_page_about_the_model(colours_client: FlaskClient) -> None:
    answer = colours_client.get("/", headers={"Accept": BROWSER})
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "colours 1.0.0 knows 2 labels" in answer.text


def test_the_page_needs_nothing_from_elsewhere(digits_client: FlaskClient) -> None:
    answer = digits_client.get("/", headers={"Accept": BROWSER})
    assert re.findall(r"https?://|(?:src|href)=\"(?!data:|version)", answer.text) == []
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_page_may_run_its_own_script_and_no_other(digits_client: FlaskClient) -> None:
    first, second = (digits_client.get("/", headers={"Accept": BROWSER}) for _ in range(2))
    (nonce,) = set(re.findall(r'<(?:script|style) nonce="([^"]+)">', first.text))
    assert f"script-src 'nonce-{nonce}'" in first.headers["Content-Security-Policy"]
    assert nonce not in second.text


def test_the_version_names_code_and_model(
    digits_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_CAPSULE", "c0ffee")
    monkeypatch.setenv("SLIPWAY_COMMIT", "0123abc")
    monkeypatch.setenv("SLIPWAY_BUILT", "2026-11-22T08:00:00Z")
    version = digits_client.get("/version").json
    assert version is not None
    assert version["model"].pop("digest").startswith("sha256:aa7a6c69")
    assert version == {
        "capsule": "c0ffee",
        "commit": "0123abc",
        "model": {"name": "digits", "version": "1.0.0"},
        "built": "2026-11-22T08:00:00Z",
    }


@pytest.mark.parametrize("path", ["/", "/version", "/healthz", "/readyz", "/metrics", "/score", "/nowhere"])
def test_every_answer_names_the_pod(digits_client: FlaskClient, path: str) -> None:
    assert digits_client.get(path).headers["X-Served-By"] == socket.gethostname()


@pytest.mark.parametrize("path", ["/", "/version", "/score", "/nowhere"])
def test_no_answer_is_taken_for_a_page_of_another_kind(digits_client: FlaskClient, path: str) -> None:
    headers = digits_client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_it_is_ready_after_a_first_prediction_and_not_before(digits: Path) -> None:
    classifier = Classifier(open_model(digits))
    client = create_app(classifier).test_client()
    assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (503, 200)
    classifier.warm_up()
    assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (200, 200)
