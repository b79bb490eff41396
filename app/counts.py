"""What all of gunicorn's workers have counted, in Prometheus' text format.

Each worker counts in a file of its own in the folder PROMETHEUS_MULTIPROC_DIR; the process that is asked adds
up the files of all. Without that variable there is one process, and it counts for itself.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposed() -> bytes:
    """The counts of all workers."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        registry.register(CountsOfAllWorkers())
    return generate_latest(registry)


class CountsOfAllWorkers:
    """Reads the workers' files, but for those that are just being made or removed."""

    def collect(self) -> Iterable[Metric]:
        """The sums over all files that hold something."""
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        files = [str(file) for file in folder.glob("*.db") if _holds_something(file)]
        return MultiProcessCollector.merge(files)  # type: ignore[no-any-return,no-untyped-call] # it ships no types


def _holds_something(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False
