"""What Prometheus collects. Without PROBE_PORT, it collects that at /metrics of the users' port."""

import time

from flask import Blueprint, Response, abort, current_app, g, request
from prometheus_client import Counter, Gauge, Histogram

from app import counts
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
    """The counts of all workers; 404 where they have a port of their own, which users do not reach."""
    if current_app.config["HAS_PROBE_PORT"]:
        abort(404)
    return Response(counts.exposed(), content_type=counts.CONTENT_TYPE)
