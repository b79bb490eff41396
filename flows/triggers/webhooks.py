"""Webhooks of GitHub and Azure DevOps: a push that is announced here is built within seconds.

    python -m gunicorn -c python:flows.triggers.gunicorn_conf --bind 127.0.0.1:4280

A hint and nothing more: the poller finds a minute later what was lost on the way. Answers are 202 with the
run, once that exists; 200 where nothing is due; 401, 403, 413 and 422 before anything is asked of Prefect;
503 while Prefect or the model store is away.
"""

import hmac
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from flows.core.errors import ModelNotFound, SlipwayError
from flows.core.model.model import ModelVersionSeen
from flows.core.text import one_line
from flows.core.trigger import trigger
from flows.core.trigger.trigger import Foreign, Ignored, Invalid, TriggerDecision, Wanted
from flows.services.prefect.api import translated_prefect_errors
from flows.triggers.launcher import Started, start
from flows.triggers.webhook_config import ConfigCache, WebhookConfig
from flows.triggers.worker import MAX_BODY

RETRY_AFTER = 60
"""Seconds; by then, the poller may have found the push."""

log = logging.getLogger("slipway.hooks")


def application() -> Flask:
    """The WSGI application."""
    app = Flask("slipway.hooks")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    cache = ConfigCache(log.warning)

    @app.get("/healthz")
    def healthz() -> str:
        return "ok\n"

    @app.post("/hooks/github")
    def github() -> Response:
        body = request.get_data()
        config = cache.get()
        if not is_signed(body, request.headers.get("X-Hub-Signature-256", ""), config.github):
            return _refused(401, "X-Hub-Signature-256 is missing or wrong")
        payload = _form_field(body) if request.mimetype == "application/x-www-form-urlencoded" else body
        event = request.headers.get("X-GitHub-Event", "")
        return _answer(config, [trigger.github(event, _parsed(payload), config.rules)])

    @app.post("/hooks/azure-devops")
    def azure_devops() -> Response:
        body = request.get_data()
        config = cache.get()
        given = request.authorization
        if given is None or not is_same(f"{given.username}:{given.password}", config.azure_devops):
            return _refused(401, "user or password is missing or wrong")
        return _answer(config, trigger.azure_devops(_parsed(body), config.rules))

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_error: RequestEntityTooLarge) -> Response:
        return _refused(413, f"a delivery may have {MAX_BODY} bytes")

    @app.errorhandler(SlipwayError)
    def away(error: SlipwayError) -> Response:
        log.warning("%s %s: 503, %s", request.path, _delivery(), error)
        answer = _json(503, error="not now; the poller finds the push, if it is not delivered again")
        answer.headers["Retry-After"] = str(RETRY_AFTER)
        return answer

    return app


def is_signed(body: bytes, signature: str, secret: str | None) -> bool:
    """Whether GitHub made the signature, as sha256=<hex>, from just this body; False without a secret."""
    if secret is None:
        return False
    return is_same(signature, f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}")


def is_same(given: str, secret: str | None) -> bool:
    """Whether they are equal, in a time that does not depend on the secret."""
    return secret is not None and hmac.compare_digest(given.encode(), secret.encode())


def _answer(config: WebhookConfig, outcomes: Sequence[TriggerDecision]) -> Response:
    """The worst outcome decides; else all that is wanted is started before anything is said."""
    for outcome in outcomes:
        if isinstance(outcome, Invalid):
            return _refused(422, outcome.reason)
        if isinstance(outcome, Foreign):
            return _refused(403, outcome.reason)
    ignored = [outcome.reason for outcome in outcomes if isinstance(outcome, Ignored)]
    wanted = [outcome for outcome in outcomes if isinstance(outcome, Wanted)]
    if not wanted:
        return _accepted(200, ignored=ignored)
    try:
        started = _started(config, wanted)
    except ModelNotFound as none:
        return _accepted(200, ignored=[*ignored, f"nothing can be built yet: {none.happened}"])
    if not started:
        return _accepted(
            200, ignored=[*ignored, "the model may be written still: the poller starts the run then"]
        )
    runs = [_described(one, run) for one, run in zip(wanted, started, strict=True)]
    return _accepted(202, **runs[0], runs=runs, ignored=ignored)


def _started(config: WebhookConfig, wanted: Sequence[Wanted]) -> list[Started]:
    """A run for each; none while the model may be written still."""
    settings = config.run.settings
    with translated_prefect_errors():
        models = config.run.models  # the first time, its credentials are read
    model, _ = config.shared.looks.ask(settings.model.name, lambda: models.peek(settings.model.name))
    if not config.shared.steady.is_stable(model, time.monotonic(), settings.watch.interval):
        return []
    return [_started_once(config, one, model) for one in wanted]


def _started_once(config: WebhookConfig, wanted: Wanted, model: ModelVersionSeen) -> Started:
    """The run; only one delivery is answered that it is new."""
    deployment = config.run.settings.watch.deployment
    started, is_first = config.shared.starts.ask(
        (wanted.branch, wanted.sha, model.token), lambda: start(config.runs, deployment, wanted, model)
    )
    return started if is_first else replace(started, new=False)


def _described(wanted: Wanted, started: Started) -> dict[str, object]:
    return {
        "run_id": started.run.id,
        "url": started.link,
        "branch": wanted.branch,
        "commit": wanted.sha,
        "new": started.new,
    }


def _parsed(payload: bytes) -> Any:
    """What the JSON says; None, which no provider sends, where it is none."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _form_field(body: bytes) -> bytes:
    """The payload of a GitHub hook whose content type is left at its default."""
    return parse_qs(body).get(b"payload", [b""])[0]


def _accepted(status: int, **content: object) -> Response:
    what = one_line(str(content.get("url") or content["ignored"]))
    log.info("%s %s: %d, %s", request.path, _delivery(), status, what)
    return _json(status, **content)


def _refused(status: int, reason: str) -> Response:
    log.warning("%s %s: %d, %s", request.path, _delivery(), status, one_line(reason))
    return _json(status, error=reason)


def _delivery() -> str:
    """Whose, and which: without the body, and with nothing that could forge a line of the log."""
    event, identity = (request.headers.get(f"X-GitHub-{name}", "-")[:40] for name in ("Event", "Delivery"))
    return f"from {request.remote_addr} event {event!r} delivery {identity!r}"


def _json(status: int, **content: object) -> Response:
    answer = jsonify(content)
    answer.status_code = status
    return answer
