"""The pictures of a request, whichever of the four forms it has."""

import json
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from flask import Request
from werkzeug.datastructures import FileStorage

from app.problems import (
    MALFORMED_BASE64,
    MALFORMED_INPUT,
    MALFORMED_JSON,
    MAX_JSON_BYTES,
    MAX_PICTURE_BYTES,
    MAX_PICTURES,
    MAX_REQUEST_BYTES,
    MB,
    NO_PICTURES,
    PICTURE_TOO_LARGE,
    TOO_MANY_PICTURES,
    UNSUPPORTED_TYPE,
    Kind,
    Problem,
)

ACCEPTED = "application/json, multipart/form-data, image/*, application/octet-stream"
EXAMPLE = '{"input": ["<base64>"]}'
MAX_JSON_VALUES = 10_000
"""64 MB of `[],[],[]` would become gigabytes of Python objects; honest bodies have a few values."""


@dataclass(frozen=True)
class Upload:
    """One picture as it was sent: its place in the request, counted from 0, what to call it, its bytes."""

    index: int
    name: str
    content: bytes = b""

    def problem(self, kind: Kind, reason: str) -> Problem:
        """What is wrong with this picture; `reason` ends the sentence that the picture's name begins."""
        return Problem(
            kind, f"{self.name} {reason}.", picture={"index": self.index, "name": self.name}, reason=reason
        )


@dataclass(frozen=True)
class Submission:
    """What is to be classified. The older form, whose `input` is a string, gets the older form's answer."""

    uploads: tuple[Upload, ...]
    is_older_form: bool = False


def read_submission(request: Request) -> Submission:
    """The pictures of a request, their number and their sizes checked. Raises Problem."""
    if _is_json(request):
        request.max_content_length = MAX_JSON_BYTES
        return _from_json(_body(request))
    if request.mimetype == "multipart/form-data":
        return Submission(_from_files([file for _, file in request.files.items(multi=True)]))
    if request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream":
        return Submission((_checked(Upload(0, "The body", _body(request))),))
    raise Problem(
        UNSUPPORTED_TYPE,
        f"The content type is {request.mimetype or 'missing'}; supported are {ACCEPTED}.",
        headers={"Accept-Post": ACCEPTED},
    )


def memory_for(request: Request) -> int:
    """Bytes that reading the request's pictures takes at most: known before the body is read."""
    limit, copies = (MAX_JSON_BYTES, 8) if _is_json(request) else (MAX_REQUEST_BYTES, 2)
    length = limit if request.content_length is None else request.content_length
    return copies * length if length <= limit else 0  # it is refused without being read


def _is_json(request: Request) -> bool:
    return request.mimetype == "application/json"


def _body(request: Request) -> bytes:
    content = request.get_data(cache=False)
    request.stream.read(1)  # werkzeug cuts a chunked body off at the limit, and refuses it at the next read
    return content


def _from_json(body: bytes) -> Submission:
    content = _parsed(body, MALFORMED_JSON, "The body")
    if not isinstance(content, dict) or "input" not in content:
        raise Problem(MALFORMED_INPUT, f"The body must be an object such as {EXAMPLE}.")
    pictures = content["input"]
    is_older_form = isinstance(pictures, str)
    if is_older_form:
        pictures = _parsed(pictures, MALFORMED_INPUT, "The string in 'input'")
    if not isinstance(pictures, list):
        raise Problem(MALFORMED_INPUT, f"'input' must be a list of base64 strings, as in {EXAMPLE}.")
    _check_number(len(pictures))
    uploads = tuple(_from_base64(index, picture) for index, picture in enumerate(pictures))
    return Submission(uploads, is_older_form)


def _parsed(text: str | bytes, kind: Kind, what: str) -> Any:
    try:
        text = text.encode() if isinstance(text, str) else text
        if sum(text.count(mark) for mark in b",[{") > MAX_JSON_VALUES:
            raise Problem(kind, f"{what} has more than {MAX_JSON_VALUES} values.")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Problem(kind, f"{what} is not JSON: {error}.") from error


def _from_base64(index: int, encoded: object) -> Upload:
    """Takes line breaks and the `data:image/png;base64,` of a data URL, as browsers produce them."""
    upload = Upload(index, f"input[{index}]")
    if not isinstance(encoded, str):
        raise upload.problem(MALFORMED_BASE64, f"must be a base64 string, not {type(encoded).__name__}")
    try:
        text = encoded.encode("ascii").translate(None, b" \t\r\n")
        if text.startswith(b"data:"):
            text = text.partition(b",")[2]
        content = b64decode(text, validate=True)
    except ValueError as error:
        raise upload.problem(MALFORMED_BASE64, f"is not base64: {error}") from error
    return _checked(Upload(index, upload.name, content))


def _from_files(files: list[FileStorage]) -> tuple[Upload, ...]:
    chosen = [file for file in files if file.filename]  # a form's file field left empty has no name
    _check_number(len(chosen))
    return tuple(
        _checked(Upload(index, file.filename or "", file.stream.read(MAX_PICTURE_BYTES + 1)))
        for index, file in enumerate(chosen)
    )


def _check_number(pictures: int) -> None:
    if not pictures:
        raise Problem(NO_PICTURES, f"The request has no picture; 1 to {MAX_PICTURES} are allowed.")
    if pictures > MAX_PICTURES:
        raise Problem(TOO_MANY_PICTURES, f"The request has {pictures} pictures; {MAX_PICTURES} are allowed.")


def _checked(upload: Upload) -> Upload:
    if len(upload.content) > MAX_PICTURE_BYTES:
        raise upload.problem(PICTURE_TOO_LARGE, f"is larger than {MAX_PICTURE_BYTES // MB} MB")
    return upload
