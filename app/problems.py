"""What is wrong with a request, as `application/problem+json` (RFC 9457)."""

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Response, json, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

MB = 1024 * 1024
MAX_PICTURE_BYTES = 10 * MB
MAX_REQUEST_BYTES = 64 * MB
MAX_PICTURES = 32
MAX_PIXELS = 50_000_000

_DISCARDED_BYTES = 2 * MAX_REQUEST_BYTES
_DISCARDING_SECONDS = 5


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

MALFORMED_JSON = Kind("malformed-json", BAD, "The body is not JSON")
MALFORMED_INPUT = Kind("malformed-input", BAD, "The input is not a list of pictures")
MALFORMED_BASE64 = Kind("malformed-base64", BAD, "A picture is not base64")
NO_PICTURES = Kind("no-pictures", BAD, "There is no picture in the request")
REQUEST_TOO_LARGE = Kind("request-too-large", TOO_LARGE, "The request is too large")
TOO_MANY_PICTURES = Kind("too-many-pictures", TOO_LARGE, "There are too many pictures")
PICTURE_TOO_LARGE = Kind("picture-too-large", TOO_LARGE, "A picture is too large")
TOO_MANY_PIXELS = Kind("too-many-pixels", TOO_LARGE, "A picture has too many pixels")
UNSUPPORTED_TYPE = Kind("unsupported-content-type", UNSUPPORTED, "The content type is not supported")
NOT_A_PICTURE = Kind("not-a-picture", UNUSABLE, "A file is not a picture that can be read")
DAMAGED_PICTURE = Kind("damaged-picture", UNUSABLE, "A picture is truncated or damaged")


class Problem(HTTPException):
    """A request that can't be answered; `members` are further ones of the problem's JSON object."""

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
        limits = f"{MAX_REQUEST_BYTES // MB} MB, a form 1000 parts and 500 kB beside its files"  # Flask's own
        error = Problem(REQUEST_TOO_LARGE, f"A request may have {limits}.")
    kind, title, members = "about:blank", error.name, {}
    if isinstance(error, Problem):
        kind, title, members = error.kind.uri, error.kind.title, error.members
    content = {"type": kind, "title": title, "status": error.code, "detail": error.description, **members}
    if not isinstance(error, ClientDisconnected):
        _discard_body()
    response = Response(json.dumps(content), headers=error.get_headers(), status=error.code)
    response.content_type = "application/problem+json"
    return response


def _discard_body() -> None:
    """Reads what is left of the body, within limits.

    A client that is still sending when the connection closes sees a broken connection instead of the answer.
    """
    body, deadline = request.environ["wsgi.input"], time.monotonic() + _DISCARDING_SECONDS
    discarded = 0
    try:
        while discarded < _DISCARDED_BYTES and time.monotonic() < deadline and (piece := body.read(MB)):
            discarded += len(piece)
    except OSError:
        return  # the client is gone, or silent: nobody is left to disappoint
