"""How gunicorn serves the receiver: `python -m gunicorn -c python:flows.triggers.gunicorn_conf`."""

import logging
import os

wsgi_app = "flows.triggers.webhooks:application()"
workers = 1
worker_class = "gthread"
threads = 64  # deliveries wait for Prefect, not for this process; those of a burst for each other
timeout = 30
graceful_timeout = 10
control_socket_disable = True

# Read when the worker imports Prefect, whose client would wait and try for minutes: a delivery does for
# seconds, of which GitHub gives it ten.
os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "1")
os.environ.setdefault("PREFECT_API_REQUEST_TIMEOUT", "3")

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)  # each request that goes well is no news
