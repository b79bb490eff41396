import json
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.classifier import load
from app.serve import create_app
from tests.app.picture_files import base64, filled, png_header

GOOD = filled("white")
LARGE = bytes(10 * 1024 * 1024 + 1)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
PROBLEM = "urn:problem-type:slipway:"


def body(content: bytes | str, content_type: str = "application/json") -> dict[str, Any]:
    return {"data": content, "content_type": content_type}


def pictures(*files: bytes) -> dict[str, Any]:
    return {"json": {"input": [base64(file) for file in files]}}


def files(*contents: bytes) -> dict[str, Any]:
    return {"data": {"file": [(BytesIO(content), f"{i}.png") for i, content in enumerate(contents)]}}


def form(**fields: str) -> dict[str, Any]:
    return {"data": fields, "content_type": "multipart/form-data"}


REQUESTS = {
    "no body": (body(""), 400, "malformed-json"),
    "not JSON": (body('{"input": '), 400, "malformed-json"),
    "not UTF-8": (body(b'{"input": "\xff"}'), 400, "malformed-json"),
    "a million brackets": (body("[" * 1_000_000), 400, "malformed-json"),
    "nested deeper than Python goes": (body("[" * 5_000 + "]" * 5_000), 400, "malformed-json"),
    "a number longer than Python reads": (body("1" * 10_000), 400, "malformed-json"),
    "millions of values": (body(json.dumps({"input": [[]] * 100_000})), 400, "malformed-json"),
    "a list": (body("[]"), 400, "malformed-input"),
    "no input": ({"json": {"inputs": []}}, 400, "malformed-input"),
    "a number as input": ({"json": {"input": 7}}, 400, "malformed-input"),
    "an object as input": ({"json": {"input": {"0": "a"}}}, 400, "malformed-input"),
    "a string that holds no list": ({"json": {"input": base64(GOOD)}}, 400, "malformed-input"),
    "a string that holds an object": ({"json": {"input": "{}"}}, 400, "malformed-input"),
    "an empty list": (pictures(), 400, "no-pictures"),
    "an empty list in a string": ({"json": {"input": "[]"}}, 400, "no-pictures"),
    "a form without files": (form(file="text"), 400, "no-pictures"),
    "a form without a boundary": (body("x", "multipart/form-data"), 400, "no-pictures"),
    "33 pictures": (pictures(*[GOOD] * 33), 413, "too-many-pictures"),
    "33 files": (files(*[GOOD] * 33), 413, "too-many-pictures"),
    "over 64 MB": (body(bytes(64 * 1024 * 1024 + 1), "image/png"), 413, "request-too-large"),
    "JSON over 16 MB": (body(b" " * (16 * 1024 * 1024 + 1)), 413, "request-too-large"),
    "over 100 megapixels together": (files(*[png_header(6000, 6000)] * 3), 413, "too-many-pixels-together"),
    "over 1000 parts": (form(**{str(i): "x" for i in range(1001)}), 413, "request-too-large"),
    "another form": (body("a=b", "application/x-www-form-urlencoded"), 415, "unsupported-content-type"),
    "text": (body("a cat", "text/plain"), 415, "unsupported-content-type"),
    "a body of no type": (body(GOOD, ""), 415, "unsupported-content-type"),
}  # fmt: skip

BAD_PICTURES = {
    "a number": ({"json": {"input": [base64(GOOD), 7]}}, 400, "malformed-base64"),
    "null": ({"json": {"input": [base64(GOOD), None]}}, 400, "malformed-base64"),
    "not base64": ({"json": {"input": [base64(GOOD), "a cat!"]}}, 400, "malformed-base64"),
    "not ASCII": ({"json": {"input": [base64(GOOD), "Kätzchen"]}}, 400, "malformed-base64"),
    "half of a character": (body(f'{{"input": ["{base64(GOOD)}", "\\ud800"]}}'), 400, "malformed-base64"),
    "base64 cut off": ({"json": {"input": [base64(GOOD), base64(GOOD)[:-3]]}}, 400, "malformed-base64"),
    "over 10 MB": (pictures(GOOD, LARGE), 413, "picture-too-large"),
    "a file over 10 MB": (files(GOOD, LARGE), 413, "picture-too-large"),
    "over 50 megapixels": (pictures(GOOD, png_header(8000, 6251)), 413, "too-many-pixels"),
    "over 10000 megapixels": (pictures(GOOD, png_header(100_000, 100_000)), 413, "too-many-pixels"),
    "nothing": (pictures(GOOD, b""), 422, "not-a-picture"),
    "text": (pictures(GOOD, b"a cat"), 422, "not-a-picture"),
    "a PDF": (files(GOOD, b"%PDF-1.7\n%"), 422, "not-a-picture"),
    "PostScript, which Pillow would run": (files(GOOD, POSTSCRIPT), 422, "not-a-picture"),
    "the beginning of a header": (files(GOOD, GOOD[:20]), 422, "not-a-picture"),
    "a header alone": (files(GOOD, png_header(8000, 6250)), 422, "damaged-picture"),
    "a JPEG cut off": (files(GOOD, filled("red", size=(90, 90), kind="JPEG")[:-40]), 422, "damaged-picture"),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "status", "kind"), REQUESTS.values(), ids=REQUESTS)
def test_a_bad_request_is_answered_with_its_problem(
    digits_client: FlaskClient, request_: dict[str, Any], status: int, kind: str
) -> None:
    answer = digits_client.post("/score", **request_)
    problem = json.loads(answer.data)
    assert (answer.status_code, problem["status"], problem["type"]) == (status, status, PROBLEM + kind)
    assert answer.content_type == "application/problem+json"
    assert problem["title"]
    assert problem["detail"].endswith(".")


@pytest.mark.parametrize(("request_", "status", "kind"), BAD_PICTURES.values(), ids=BAD_PICTURES)
def test_a_bad_picture_is_named(
    digits_client: FlaskClient, request_: dict[str, Any], status: int, kind: str
) -> None:
    answer = digits_client.post("/score", **request_)
    problem = json.loads(answer.data)
    assert (answer.status_code, problem["type"]) == (status, PROBLEM + kind)
    assert problem["picture"]["index"] == 1
    assert problem["picture"]["name"] in ("input[1]", "1.png")
    assert problem["detail"] == f"{problem['picture']['name']} {problem['reason']}."


def test_a_wrong_content_type_is_answered_with_the_right_ones(digits_client: FlaskClient) -> None:
    answer = digits_client.post("/score", data="a cat", content_type="text/plain")
    assert "image/*" in answer.headers["Accept-Post"]


def test_an_unknown_path_is_a_problem(digits_client: FlaskClient) -> None:
    answer = digits_client.get("/nowhere")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert json.loads(answer.data) | {"detail": ""} == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "",
    }


def test_a_wrong_method_is_answered_with_the_right_ones(digits_client: FlaskClient) -> None:
    answer = digits_client.get("/score")
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_scores_that_are_no_numbers_are_no_answer(colours: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(colours, tmp_path / "model"))
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["preprocessing"]["std"] = [1e-37, 127.5, 255.0]  # a white picture is infinitely red
    (model / "manifest.json").write_text(json.dumps(manifest))
    client = create_app(load(model)).test_client()
    assert client.post("/score", **files(filled("black"))).status_code == 200
    answer = client.post("/score", **files(filled("white")))
    assert (answer.status_code, json.loads(answer.data)["type"]) == (500, PROBLEM + "no-answer")
    assert "NaN" not in answer.text


def test_a_problem_of_our_own_is_answered_without_its_traceback(
    digits_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(digits_client.application.extensions, "classifier", None)
    answer = digits_client.get("/version")
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "AttributeError" not in answer.text
