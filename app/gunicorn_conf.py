"""How gunicorn serves the application: `python -m gunicorn -c python:app.gunicorn_conf`.

PORT, MODEL_DIR, WEB_CONCURRENCY (workers) and CLIENT_SILENCE_SECONDS come from the environment.
"""

import os
import sys
import tempfile
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from app.classifier import load
from app.model import ModelRejected

os.environ.setdefault("MODEL_DIR", "/model")
_port = os.environ.get("PORT", "8000")
# Read by prometheus_client when it is imported, which happens in the workers.
_metrics = Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", f"{tempfile.gettempdir()}/metrics-{_port}"))

wsgi_app = "app.wsgi:application()"
bind = f"0.0.0.0:{_port}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "app.worker.BoundedWorker"
threads = 8  # more than cores, so that probes don't wait for slow senders
timeout = 60
graceful_timeout = 10
keepalive = 15  # longer than load balancers keep idle connections, or they would meet closed ones
control_socket_disable = True


def on_starting(server: Arbiter) -> None:
    """Ends the start with one line when the model can't be served; forgets the counts of an earlier start."""
    try:
        load(Path(os.environ["MODEL_DIR"]))
    except ModelRejected as error:
        sys.exit(f"The model is refused: {error}")
    _metrics.mkdir(parents=True, exist_ok=True)
    for counts in _metrics.glob("*.db"):
        counts.unlink()


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Takes a worker that ended out of what only living ones report."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 -- see _metrics

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # prometheus_client leaves it out
