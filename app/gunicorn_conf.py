"""How gunicorn serves the application: `python -m gunicorn -c python:app.gunicorn_conf`.

Variables of the environment that it, or the application, reads:

- PORT, and PROBE_PORT of probes and metrics: without PROBE_PORT, they are at PORT
- MODEL_DIR: the model directory
- WEB_CONCURRENCY: the number of workers
- INTRA_OP_THREADS: threads of one prediction, see app.classifier
- CLIENT_SECONDS: `seconds` of serving.reception
- HUNG_AFTER_SECONDS: see app.probes
- MEMORY_LIMIT_MB: see app.memory
- TURNS_DIR: the folder that the workers share; without it, a temporary one
- PROMETHEUS_MULTIPROC_DIR: see app.counts; without it, a folder in that one
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from app.classifier import load
from app.model import ModelRejected

os.environ.setdefault("MODEL_DIR", "/model")
_port = os.environ.get("PORT", "8000")
# Its name can not be guessed: other users of a machine write to /tmp, too.
_own_folder = "" if "TURNS_DIR" in os.environ else tempfile.mkdtemp(prefix="slipway-app-")
os.environ.setdefault("TURNS_DIR", _own_folder)
# Read by prometheus_client when it is imported, so nothing above may import it.
_metrics = Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", f"{os.environ['TURNS_DIR']}/metrics"))

wsgi_app = "app.wsgi:application()"
bind = f"0.0.0.0:{_port}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "app.worker.AppWorker"
threads = 8  # more than cores, so that small requests do not wait for those with large pictures
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


def when_ready(server: Arbiter) -> None:
    """Answers probes from now on, in a thread of the process that starts the workers."""
    from app import probes  # noqa: PLC0415 -- see _metrics

    if port := os.environ.get("PROBE_PORT"):
        probes.serve(int(port))


def post_fork(server: Arbiter, worker: Worker) -> None:
    """Leaves the probes' port to the process that answers there."""
    from app import probes  # noqa: PLC0415 -- see _metrics

    probes.leave()


def on_exit(server: Arbiter) -> None:
    """Deletes the folder that this gunicorn made for its workers."""
    if _own_folder:
        shutil.rmtree(_own_folder, ignore_errors=True)


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Removes an ended worker from the metrics that only living workers report."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 -- see _metrics

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # prometheus_client leaves it out
