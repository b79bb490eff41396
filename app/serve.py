"""The application's routes: scoring, the page for browsers, and what the platform asks."""

import os
import secrets
import socket
import time

from flask import Blueprint, Flask, Response, current_app, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from app import metrics, problems
from app.classifier import Classifier
from app.pictures import decode
from app.submission import read_submission

routes = Blueprint("app", __name__)

_ENOUGH = 4
"""Large pictures are reduced to this many times the pixels, each way, that the model needs."""


def create_app(classifier: Classifier) -> Flask:
    """The application around a classifier; it is ready once the classifier is warmed up."""
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined] # of the default provider
    app.config["MAX_CONTENT_LENGTH"] = problems.MAX_REQUEST_BYTES
    app.extensions["classifier"] = classifier
    app.register_blueprint(routes)
    app.register_blueprint(metrics.routes)
    app.register_error_handler(HTTPException, problems.respond)
    metrics.announce(classifier.model)
    return app


def _classifier() -> Classifier:
    classifier: Classifier = current_app.extensions["classifier"]
    return classifier


@routes.post("/score")
def score() -> Response:
    """The best labels of each picture. Bad input is answered with a problem, see app.problems."""
    started = time.perf_counter()
    classifier, submission = _classifier(), read_submission(request)
    steps = classifier.model.preprocessing
    enough = _ENOUGH * (steps.shorter_side or steps.crop)
    tensors = [classifier.prepare(decode(upload, steps.mode, enough)) for upload in submission.uploads]
    answers = [classifier.classify(tensor) for tensor in tensors]
    metrics.PREDICTIONS.inc(len(answers))
    elapsed_ms = (time.perf_counter() - started) * 1000
    if submission.is_older_form:
        return jsonify(result=[*answers, f"Computed in {elapsed_ms:.0f} ms"])
    return jsonify(result=answers, elapsed_ms=round(elapsed_ms, 1))


@routes.get("/")
def home() -> Response:
    """The page for browsers; "Healthy" for load balancers and everything else."""
    wanted = request.accept_mimetypes.best_match(["text/plain", "text/html"])
    response = _page() if wanted == "text/html" else _text("Healthy")
    response.vary.add("Accept")
    return response


def _page() -> Response:
    nonce = secrets.token_urlsafe()
    commit = os.environ.get("SLIPWAY_COMMIT", "")
    model = _classifier().model
    page = render_template("page.html", model=model, commit=commit, limits=problems, nonce=nonce)
    response = Response(page, content_type="text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return response


@routes.get("/version")
def version() -> Response:
    """What is running: the image's capsule and commit, the model, and when the image was built."""
    model = _classifier().model
    return jsonify(
        capsule=os.environ.get("SLIPWAY_CAPSULE", ""),
        commit=os.environ.get("SLIPWAY_COMMIT", ""),
        model={"name": model.name, "version": model.version, "digest": model.digest},
        built=os.environ.get("SLIPWAY_BUILT", ""),
    )


@routes.get("/healthz")
def healthz() -> Response:
    """200 while the process lives."""
    return _text("alive\n")


@routes.get("/readyz")
def readyz() -> Response:
    """200 once a first prediction was made, 503 before."""
    if _classifier().is_warm:
        return _text("ready\n")
    return _text("warming up\n", 503)


def _text(content: str, status: int = 200) -> Response:
    return Response(content, status, content_type="text/plain; charset=utf-8")


@routes.after_app_request
def name_the_pod(response: Response) -> Response:
    """Says which replica answered."""
    response.headers["X-Served-By"] = socket.gethostname()
    return response
