"""The application's gunicorn worker."""

import os

from app.problems import MAX_REQUEST_BYTES, MB
from serving.reception import Rules
from serving.worker import BufferingWorker


class AppWorker(BufferingWorker):
    """Receives uploads before a thread takes them. A pod's /tmp has room for what its two workers hold."""

    rules = Rules(
        body=MAX_REQUEST_BYTES,
        held=192 * MB,
        seconds=float(os.environ.get("CLIENT_SECONDS", "10")),
    )
