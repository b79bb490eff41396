"""Stands in for Azure Blob Storage and S3 where they refuse: every request gets the same documented answer.

https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from tests.stand_ins.http_server import QuietHandler, serving


@dataclass
class RefusingStore:
    """What it answers; a test changes that while it serves. `asked` are the request lines."""

    url: str = ""
    status: int = 403
    code: str = ""
    message: str = ""
    detail: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """The answer's: what Azure and S3 have in common, and Azure's detail."""
        detail = f"<AuthenticationErrorDetail>{escape(self.detail)}</AuthenticationErrorDetail>"
        return (
            f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{self.code}</Code>'
            f"<Message>{escape(self.message)}</Message>{detail if self.detail else ''}</Error>"
        ).encode()


@contextmanager
def refusing_store(tls: ssl.SSLContext) -> Iterator[RefusingStore]:
    """It answers until the block ends."""
    store = RefusingStore()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            store.asked.append(self.requestline)
            self.send_response(store.status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(store.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(store.body)

        do_PUT = do_POST = do_HEAD = do_GET

    with serving(Handler, tls) as url:
        store.url = url
        yield store
