"""Stands in for the versions that a container of Azure Blob Storage keeps, which Azurite does not.

All requests go on to Azurite. What was written is kept here, by the id of its version: a time, as in Azure.
"""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.stand_ins.http_server import QuietHandler, serving

HOP = {"connection", "transfer-encoding", "host", "content-length"}


class Version(NamedTuple):
    """One content that an object has had."""

    id: str
    content: bytes


class Versions:
    """The versions of each object by its path, the newest last; and blocks that no object has yet."""

    def __init__(self) -> None:
        self.written: dict[str, list[Version]] = {}
        self._blocks: dict[tuple[str, str], bytes] = {}

    def put(self, path: str, query: dict[str, list[str]], body: bytes) -> Version | None:
        """Keep what a request wrote; None where it wrote a block alone."""
        match query.get("comp"):
            case ["block"]:
                self._blocks[path, query["blockid"][0]] = body
                return None
            case ["blocklist"]:
                ids = re.findall(r"<(?:Uncommitted|Latest)>([^<]+)<", body.decode())
                body = b"".join(self._blocks[path, one] for one in ids)
        version = Version(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z", body)
        self.written.setdefault(path, []).append(version)
        return version

    def current(self, path: str) -> Version | None:
        """The newest version of an object."""
        return self.written[path][-1] if path in self.written else None

    def find(self, path: str, wanted: str) -> Version | None:
        """The version of that id, also of an object that was deleted."""
        return next((one for one in self.written.get(path, ()) if one.id == wanted), None)


@contextmanager
def versioned_blobs(azurite: str, tls: ssl.SSLContext) -> Iterator[str]:
    """The address of a storage account whose containers keep versions; `azurite` is that of Azurite."""
    versions = Versions()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query, keep_blank_values=True)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "versionid" in query:
                self.answer_version(versions.find(parts.path, query["versionid"][0]))
                return
            headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP}
            answer = azure.request(self.command, f"{origin}{self.path}", headers=headers, content=body)
            written = None
            if self.command == "PUT" and answer.status_code == 201 and "restype" not in query:
                written = versions.put(parts.path, query, body)
            elif answer.is_success and self.command in {"GET", "HEAD"}:
                written = versions.current(parts.path)
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in HOP}
            if written is not None:
                kept["x-ms-version-id"] = written.id
            self.answer(answer.status_code, kept, answer.headers.get("content-length"), answer.content)

        do_PUT = do_HEAD = do_DELETE = do_POST = do_GET

        def answer_version(self, version: Version | None) -> None:
            if version is None:
                missing = b"<Error><Code>BlobNotFound</Code></Error>"
                self.answer(404, {"Content-Type": "application/xml"}, None, missing)
                return
            headers = {
                "ETag": f'"{version.id}"',
                "Last-Modified": "Mon, 30 Nov 2026 06:00:00 GMT",
                "x-ms-version-id": version.id,
            }
            asked = self.headers.get("Range") or self.headers.get("x-ms-range") or ""
            whole = version.content
            if (span := re.fullmatch(r"bytes=(\d+)-(\d+)", asked)) is None:
                self.answer(200, headers, str(len(whole)), whole)
                return
            start, end = int(span[1]), min(int(span[2]), len(whole) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(whole)}"
            self.answer(206, headers, None, whole[start : end + 1])

        def answer(self, status: int, headers: dict[str, str], length: str | None, body: bytes) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", length or str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    parts = urlsplit(azurite)
    origin = f"{parts.scheme}://{parts.netloc}"
    with httpx.Client(trust_env=False, timeout=30) as azure, serving(Handler, tls) as url:
        yield f"{url}{parts.path}"
