import json
import re
from io import BytesIO

import pytest
from flask.testing import FlaskClient
from PIL import Image

from tests.app.picture_files import base64, encoded, filled

RED, BLUE = filled("red"), filled("blue")
"""Each with a score of 2 for its colour and 0 for the other: softmax gives 88.08 and 11.92 percent."""
IS_RED = [["red", 88.08], ["blue", 11.92]]
IS_BLUE = [["blue", 88.08], ["red", 11.92]]


def test_a_list_of_base64_is_answered_in_its_order(colours_client: FlaskClient) -> None:
    answer = colours_client.post("/score", json={"input": [base64(RED), base64(BLUE), base64(RED)]})
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["result"] == [IS_RED, IS_BLUE, IS_RED]
    assert answer.json["elapsed_ms"] > 0


def test_a_string_holding_the_list_is_answered_in_the_older_form(colours_client: FlaskClient) -> None:
    answer = colours_client.post("/score", json={"input": json.dumps([base64(RED), base64(BLUE)])})
    assert answer.json is not None
    assert answer.json.keys() == {"result"}
    *answers, computed = answer.json["result"]
    assert answers == [IS_RED, IS_BLUE]
    assert re.fullmatch(r"Computed in \d+ ms", computed)


def test_uploaded_files_are_answered_in_their_order(colours_client: FlaskClient) -> None:
    files = [(BytesIO(BLUE), "sea.png"), (BytesIO(RED), "rose.png")]
    answer = colours_client.post("/score", data={"file": files})
    assert answer.json is not None
    assert answer.json["result"] == [IS_BLUE, IS_RED]


def test_a_file_field_left_empty_is_no_picture(colours_client: FlaskClient) -> None:
    answer = colours_client.post("/score", data={"a": (BytesIO(b""), ""), "b": (BytesIO(RED), "rose.png")})
    assert answer.json is not None
    assert answer.json["result"] == [IS_RED]


@pytest.mark.parametrize("content_type", ["image/png", "image/x-anything", "application/octet-stream"])
def test_the_body_itself_can_be_the_picture(colours_client: FlaskClient, content_type: str) -> None:
    answer = colours_client.post("/score", data=RED, content_type=content_type)
    assert answer.json is not None
    assert answer.json["result"] == [IS_RED]


@pytest.mark.parametrize(
    "text",
    [
        f"data:image/png;base64,{base64(RED)}",
        "\r\n".join(base64(RED)[i : i + 76] for i in range(0, len(base64(RED)), 76)),
    ],
    ids=["a data URL", "lines of a mail"],
)
def test_base64_may_come_as_browsers_and_mail_write_it(colours_client: FlaskClient, text: str) -> None:
    answer = colours_client.post("/score", json={"input": [text]})
    assert answer.json is not None
    assert answer.json["result"] == [IS_RED]


def test_thirty_two_pictures_are_answered(colours_client: FlaskClient) -> None:
    answer = colours_client.post("/score", json={"input": [base64(RED)] * 32})
    assert answer.json is not None
    assert answer.json["result"] == [IS_RED] * 32


def test_another_model_is_served_by_the_same_code(digits_client: FlaskClient, three: bytes) -> None:
    answer = digits_client.post("/score", data=three, content_type="image/png")
    assert answer.json is not None
    (best,) = answer.json["result"]
    assert best[0] == ["3", 100.0]
    assert len(best) == 3


def test_what_a_file_is_called_does_not_matter(colours_client: FlaskClient) -> None:
    picture = encoded(Image.new("RGB", (16, 16), "red"), "JPEG", quality=95)
    answer = colours_client.post("/score", data=picture, content_type="image/png")
    assert answer.json is not None
    assert answer.json["result"][0][0][0] == "red"
