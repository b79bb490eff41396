"""How gunicorn serves the receiver: `python -m gunicorn -c python:flows.triggers.gunicorn_conf`."""

import logging
import os
from contextlib import suppress

from flows.config import load as configuration
from flows.config import network
from flows.core.errors import SettingsError

wsgi_app = "flows.triggers.webhooks:application()"
workers = 1
worker_class = "flows.triggers.worker.ReceiverWorker"
threads = 64  # deliveries wait for Prefect, not for this process; those of a burst for each other
timeout = 30
graceful_timeout = 10
control_socket_disable = True

with suppress(SettingsError):  # which the receiver reports at each delivery
    network.apply(configuration.load())

# Read when the worker imports Prefect, whose client would otherwise try for minutes: GitHub waits ten seconds
# for the answer to a delivery.
os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "1")
os.environ.setdefault("PREFECT_API_REQUEST_TIMEOUT", "3")

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)  # each request that goes well is no news
