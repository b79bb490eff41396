"""Azure's identity endpoints, on loopback: the only part of Azure that tests can't have for real.

It answers a service principal's token request (`/<tenant>/oauth2/v2.0/token`) and a managed identity's (as
App Service has it) with a token for storage that Azurite accepts: right audience and time, no signature.
"""

import base64
import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AUDIENCE = "https://storage.azure.com"
ISSUER = "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"


@dataclass
class AzureIdentity:
    """Where it listens, and who asked: what each request's line and body said."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def azure_identity(tls: ssl.SSLContext | None = None) -> Iterator[AzureIdentity]:
    """The endpoints, while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    identity = AzureIdentity(f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}")

    class Endpoints(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            identity.asked.append(f"{self.requestline} {body}")
            content = json.dumps(_answer()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815  # the name that http.server looks for

        def log_message(self, *_: object) -> None:
            """Requests are kept in `asked`."""

    server.RequestHandlerClass = Endpoints
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield identity
    finally:
        server.shutdown()
        server.server_close()


def _answer() -> dict[str, object]:
    now = int(time.time())
    claims = {"aud": AUDIENCE, "iss": ISSUER, "iat": now - 60, "nbf": now - 60, "exp": now + 3600}
    token = ".".join([_encoded({"alg": "HS256", "typ": "JWT"}), _encoded(claims), "unsigned"])
    return {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": 3600,
        "expires_on": str(now + 3600),
        "resource": AUDIENCE,
    }


def _encoded(part: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
