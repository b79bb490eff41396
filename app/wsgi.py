"""What each of gunicorn's workers loads."""

import os
from pathlib import Path

from flask import Flask, Response
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest

from app import problems
from app.classifier import load
from app.serve import create_app


def application() -> Flask:
    """The application with the model of MODEL_DIR, warmed up: a worker takes no request before it is."""
    app = create_app(load(Path(os.environ["MODEL_DIR"])))
    app.register_error_handler(ParseException, _refuse_chunks)
    return app


def _refuse_chunks(error: ParseException) -> Response:
    """400 for malformed chunks of a body, which gunicorn finds only when the application reads them."""
    return problems.respond(BadRequest(f"The body can't be read: {error}."))
