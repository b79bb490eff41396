"""The real application with a path that never answers: `tests.app.hanging:application()`."""

import threading

from flask import Flask

from app.wsgi import application as real_application


def application() -> Flask:
    """The application, which holds the thread of every request for /hang."""
    app = real_application()
    app.add_url_rule("/hang", view_func=_hang)
    return app


def _hang() -> str:
    threading.Event().wait()
    return ""
