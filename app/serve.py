"""The application's routes: scoring, the page for browsers, and what the platform asks."""

import os
import secrets
import socket
import time

from flask import Blueprint, Flask, Response, current_app, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from app import metrics, problems
from app.classifier import Classifier, NotFinite
from app.memory import Memory, Room
from app.pictures import open_pictures
from app.submission import memory_for, read_submission

routes = Blueprint("app", __name__)

_ENOUGH = 4
"""Large pictures are reduced to this many times the pixels, each way, that the model needs."""


def create_app(classifier: Classifier) -> Flask:
    """The application around a classifier; it is ready once the classifier is warmed up."""
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined] # of the default provider
    app.config["MAX_CONTENT_LENGTH"] = problems.MAX_REQUEST_BYTES
    app.config["HAS_PROBE_PORT"] = bool(os.environ.get("PROBE_PORT"))
    app.extensions["classifier"] = classifier
    app.extensions["memory"] = Memory.of_this_pod()
    app.register_blueprint(routes)
    app.register_blueprint(metrics.routes)
    app.register_error_handler(HTTPException, problems.respond)
    app.register_error_handler(NotFinite, _no_answer)
    metrics.announce(classifier.model)
    return app


def _classifier() -> Classifier:
    classifier: Classifier = current_app.extensions["classifier"]
    return classifier


@routes.post("/score")
def score() -> Response:
    """The best labels of each picture. Bad input is answered with a problem, see app.problems."""
    started = time.perf_counter()
    classifier, memory = _classifier(), current_app.extensions["memory"]
    steps = classifier.model.preprocessing
    enough = _ENOUGH * (steps.shorter_side or steps.crop)
    with Room(memory) as room:
        room.take(memory.bodies, memory_for(request))
        submission = read_submission(request)
        pictures = open_pictures(submission.uploads)
        room.take(memory.pictures, max(picture.memory for picture in pictures))
        tensors = [classifier.prepare(picture.decoded(steps.mode, enough)) for picture in pictures]
    answers = [classifier.classify(tensor) for tensor in tensors]
    metrics.PREDICTIONS.inc(len(answers))
    elapsed_ms = (time.perf_counter() - started) * 1000
    if submission.is_older_form:
        return jsonify(result=[*answers, f"Computed in {elapsed_ms:.0f} ms"])
    return jsonify(result=answers, elapsed_ms=round(elapsed_ms, 1))


def _no_answer(error: NotFinite) -> Response:
    current_app.logger.error("%s", error)
    return problems.respond(problems.Problem(problems.NO_ANSWER, str(error)))


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
    """Names the replica that answered, and forbids browsers to guess or run what the answer is."""
    response.headers["X-Served-By"] = socket.gethostname()
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    return response
