"""What Prometheus collects, right across gunicorn's workers.

Each worker counts in a file of its own in the folder PROMETHEUS_MULTIPROC_DIR; whichever worker is asked adds
up the files of all. Without that variable there is one process, and it counts for itself.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from flask import Blueprint, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as expose
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from app.model import Model

routes = Blueprint("metrics", __name__)

REQUESTS = Counter("http_requests", "Requests answered.", ["route", "status"])
SECONDS = Histogram(
    "http_request_duration_seconds",
    "From the request's headers to its answer.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
PREDICTIONS = Counter("predictions", "Pictures classified.")
MODEL = Gauge(
    "model_info", "The model that is served.", ["name", "version", "digest"], multiprocess_mode="livemax"
)


class CountsOfAllWorkers:
    """Reads the workers' files, but for those that are just being made or removed."""

    def collect(self) -> Iterable[Metric]:
        """The sums over all files that hold something."""
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        files = [str(file) for file in folder.glob("*.db") if _holds_something(file)]
        return MultiProcessCollector.merge(files)  # type: ignore[no-any-return,no-untyped-call]


def _holds_something(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def announce(model: Model) -> None:
    """Says which model this process serves."""
    MODEL.labels(model.name, model.version, model.digest).set(1)


@routes.before_app_request
def start_clock() -> None:
    """Notes when a request came in."""
    g.started = time.perf_counter()


@routes.after_app_request
def count(response: Response) -> Response:
    """Counts an answer under its route's pattern: paths that strangers make up don't become time series."""
    route = request.url_rule.rule if request.url_rule else "none"
    REQUESTS.labels(route, response.status_code).inc()
    SECONDS.labels(route).observe(time.perf_counter() - g.started)
    return response


@routes.get("/metrics")
def metrics() -> Response:
    """The counts of all workers, in Prometheus' text format."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        registry.register(CountsOfAllWorkers())
    return Response(expose(registry), content_type=CONTENT_TYPE_LATEST)
