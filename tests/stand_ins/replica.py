"""The real application, as one replica among several on this machine: it has a pod's name, and may misbehave.

`python -m gunicorn -c python:app.gunicorn_conf tests.stand_ins.replica:application()`, where POD_NAME is what
X-Served-By says, SLOW the seconds that a score takes longer, FAILS true if scoring raises, and CRASHES if it
ends the process.
"""

import os
import socket
import time

from flask import Flask, request

from app.wsgi import application as real_application


def application() -> Flask:
    """The application, given its behaviour."""
    socket.gethostname = lambda: os.environ["POD_NAME"]
    app = real_application()
    app.before_request(_misbehave)
    return app


def _misbehave() -> None:
    if request.path != "/score":
        return
    time.sleep(float(os.environ.get("SLOW", "0")))
    if "FAILS" in os.environ:
        raise RuntimeError("it does not score today")
    if "CRASHES" in os.environ:
        os._exit(1)
