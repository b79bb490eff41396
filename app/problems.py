"""What is wrong with a request, as `application/problem+json` (RFC 9457)."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response, json
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

MB = 1024 * 1024
MAX_PICTURE_BYTES = 10 * MB
MAX_REQUEST_BYTES = 64 * MB
MAX_JSON_BYTES = 16 * MB
MAX_PICTURES = 32
MAX_PIXELS = 50_000_000
MAX_PIXELS_TOGETHER = 2 * MAX_PIXELS
"""Of all pictures of a request; see app.pictures for what a JPEG counts."""

RETRY_AFTER = 5
"""Seconds after which a client should send a refused request again."""


@dataclass(frozen=True)
class Kind:
    """A kind of problem: what identifies it, its status, and a title that is the same each time."""

    slug: str
    status: HTTPStatus
    title: str

    @property
    def uri(self) -> str:
        """The problem's type; it identifies and is not meant to be opened."""
        return f"urn:problem-type:slipway:{self.slug}"


BAD, TOO_LARGE = HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
UNSUPPORTED, UNUSABLE = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY
FAILED, UNAVAILABLE = HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE

MALFORMED_JSON = Kind("malformed-json", BAD, "The body is not JSON")
MALFORMED_INPUT = Kind("malformed-input", BAD, "The input is not a list of pictures")
MALFORMED_BASE64 = Kind("malformed-base64", BAD, "A picture is not base64")
NO_PICTURES = Kind("no-pictures", BAD, "There is no picture in the request")
REQUEST_TOO_LARGE = Kind("request-too-large", TOO_LARGE, "The request is too large")
TOO_MANY_PICTURES = Kind("too-many-pictures", TOO_LARGE, "There are too many pictures")
PICTURE_TOO_LARGE = Kind("picture-too-large", TOO_LARGE, "A picture is too large")
TOO_MANY_PIXELS = Kind("too-many-pixels", TOO_LARGE, "A picture has too many pixels")
TOO_MUCH_TOGETHER = Kind("too-many-pixels-together", TOO_LARGE, "The pictures have too many pixels together")
UNSUPPORTED_TYPE = Kind("unsupported-content-type", UNSUPPORTED, "The content type is not supported")
NOT_A_PICTURE = Kind("not-a-picture", UNUSABLE, "A file is not a picture that can be read")
DAMAGED_PICTURE = Kind("damaged-picture", UNUSABLE, "A picture is truncated or damaged")
NO_ANSWER = Kind("no-answer", FAILED, "The model gives no answer")
BUSY = Kind("busy", UNAVAILABLE, "The server is busy")


class Problem(HTTPException):
    """A request that can't be answered; `members` are further members of the problem's JSON object."""

    def __init__(
        self, kind: Kind, detail: str, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.code = kind.status
        self.kind = kind
        self.headers = headers or {}
        self.members = members

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """The headers of the answer, as werkzeug asks for them."""
        return [*super().get_headers(*args, **kwargs), *self.headers.items()]


def respond(error: HTTPException) -> Response:
    """The answer to a refused request, with the headers that belong to its status (such as Allow)."""
    if isinstance(error, RequestEntityTooLarge):
        form = "a form 1000 parts and 500 kB beside its files"  # Flask's own limits
        limits = f"{MAX_REQUEST_BYTES // MB} MB, JSON {MAX_JSON_BYTES // MB} MB, {form}"
        error = Problem(REQUEST_TOO_LARGE, f"A request may have {limits}.")
    kind, title, members = "about:blank", error.name, {}
    if isinstance(error, Problem):
        kind, title, members = error.kind.uri, error.kind.title, error.members
    content = {"type": kind, "title": title, "status": error.code, "detail": error.description, **members}
    response = Response(json.dumps(content), headers=error.get_headers(), status=error.code)
    response.content_type = "application/problem+json"
    return response


def busy() -> Problem:
    """The answer to a request for which no memory came free in time."""
    detail = f"Other requests need the memory that this one needs. Send it again in {RETRY_AFTER} seconds."
    return Problem(BUSY, detail, headers={"Retry-After": str(RETRY_AFTER)})
