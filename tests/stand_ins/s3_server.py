"""S3 on this machine, by moto, one request after the other.

moto checks If-None-Match and writes in two steps. Side by side, two requests would both find nothing there.
S3 lets one of them win.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


@contextmanager
def s3_server() -> Iterator[str]:
    """Its address, until the block ends."""
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
