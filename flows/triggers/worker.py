"""The receiver's gunicorn worker."""

from serving.reception import Rules
from serving.worker import BufferingWorker

MAX_BODY = 1_000_000
"""Bytes; the push of a thousand commits has fewer."""


class ReceiverWorker(BufferingWorker):
    """Receives a delivery before a thread takes it, so that slow senders keep no other waiting."""

    rules = Rules(body=MAX_BODY, held=64_000_000)
