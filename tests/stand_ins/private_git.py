"""A git server that lets no client in: it asks each for a password, and takes none."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.stand_ins.http_server import QuietHandler, serving


class _Refusing(QuietHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.end_headers()


@contextmanager
def private_git() -> Iterator[str]:
    """The URL of a repository on loopback that needs credentials."""
    with serving(_Refusing) as url:
        yield f"{url}/team/app.git"
