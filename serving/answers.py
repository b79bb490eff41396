"""Answers to requests that no thread sees."""

from http import HTTPStatus

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RETRY_AFTER = 5
"""Seconds."""


def refusal(status: HTTPStatus) -> bytes:
    """The whole answer, as a problem of RFC 9457; the connection closes after it."""
    body = f'{{"type":"about:blank","title":"{status.phrase}","status":{status.value}}}'
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *([f"Retry-After: {_RETRY_AFTER}"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
    )
    return "\r\n".join((*lines, "", body)).encode()
