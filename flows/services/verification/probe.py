"""Asking the app from outside, the way a user's client does: over a connection of its own each time, or over
one that is kept.

What goes wrong is a `ProofFailed`: its `pod` is the replica that answered wrong, "" where none answered.
Every answer of a replica has its name in the header X-Served-By. An answer without it is that of a load
balancer, an Ingress or a firewall, and never the image's fault.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from flows.core.errors import EdgeNotInOrder, ProofFailed
from flows.core.model.manifest import Example, ModelManifest
from flows.core.text import validation_message
from flows.services.verification.connection import Connection, Reply, connection
from flows.services.verification.public_endpoint import PublicEndpoint

SERVED_BY = "X-Served-By"
BETWEEN = {
    401: "Let the release's requests through where users sign in: load balancer, Ingress or proxy.",
    403: "Let the release's requests through: see the rules of firewall, load balancer and Ingress.",
    413: "Raise the limit on request bodies of the load balancer or Ingress above the model's examples.",
    429: "Raise the limit on requests of the load balancer, Ingress or firewall for the release's machine.",
}
"""What to do about answers that no replica gave."""

LOOK_BETWEEN = "Check what leads to the replicas: load balancer, Ingress, the Service's selector and ports."

LONGEST_NAME = 253
"""Characters of a pod's name (Kubernetes, "Object Names and IDs")."""

LONGEST_REASON = 500
"""Characters of what is wrong with an answer: each of its values may be."""


@dataclass(frozen=True)
class Version:
    """What one replica says of itself."""

    pod: str
    capsule: str
    commit: str
    model: str
    model_digest: str


@dataclass(frozen=True)
class Answer:
    """What one replica makes of a picture: label and percent, best first, after so many milliseconds; and
    whether it came over the connection of the answer before."""

    pod: str
    best: list[tuple[str, float]]
    milliseconds: float
    over_kept: bool


class _Model(BaseModel):
    name: str
    version: str
    digest: str


class _Identity(BaseModel):
    """The body of /version; further keys are ignored."""

    capsule: str
    commit: str
    model: _Model


class _Scores(BaseModel):
    """The body of /score: for each picture its best labels."""

    result: Annotated[list[list[tuple[str, FiniteFloat]]], Field(min_length=1)]


def is_ready(edge: PublicEndpoint) -> bool:
    """Whether /readyz says yes; False also without an answer."""
    try:
        return _asked(edge, "GET", "/readyz").answer.is_success
    except ProofFailed:
        return False


def require_replica(edge: PublicEndpoint) -> None:
    """`EdgeNotInOrder` unless a replica answers, whatever it says: the edge may have none behind it yet."""
    try:
        answer = _asked(edge, "GET", "/version").answer  # an edge may keep users from /readyz
    except ProofFailed as failure:
        raise EdgeNotInOrder(failure.happened, LOOK_BETWEEN, finding="unserved") from failure
    if SERVED_BY not in answer.headers:
        raise EdgeNotInOrder(
            f"No replica answers at {edge.url}: what is before them answered {answer.status_code} itself.",
            LOOK_BETWEEN,
            finding="unserved",
        )


def version(edge: PublicEndpoint) -> Version:
    """The identity of the replica that answers at /version."""
    answer = _right(_asked(edge, "GET", "/version"))
    try:
        said = _Identity.model_validate_json(answer.content)
    except ValidationError as error:
        raise _malformed(answer, validation_message(error)) from error
    if SERVED_BY not in answer.headers:
        raise _malformed(answer, f"there is no header {SERVED_BY}")
    return Version(
        pod=_pod(answer),
        capsule=said.capsule,
        commit=said.commit,
        model=f"{said.model.name} {said.model.version}",
        model_digest=said.model.digest,
    )


def score(edge: PublicEndpoint, picture: str, over: Connection | None = None) -> Answer:
    """The answer to one picture (base64), over a connection of its own if none is given.

    Its time is from the request to the whole answer, over an open connection. `ConnectionClosed` where no
    answer came over a connection that was kept.
    """
    content = {"input": [picture]}
    reply = over.ask("POST", "/score", content) if over else _asked(edge, "POST", "/score", content)
    answer = _right(reply)
    try:
        scores = _Scores.model_validate_json(answer.content)
    except ValidationError as error:
        raise _malformed(answer, validation_message(error)) from error
    return Answer(_pod(answer), scores.result[0], reply.milliseconds, reply.was_kept)


def check_examples(edge: PublicEndpoint, manifest: ModelManifest) -> int:
    """How many of the model's examples were answered, all within tolerance."""
    wrong = [difference for example in manifest.examples if (difference := _disagreement(edge, example))]
    if wrong:
        answered = f"{edge.url} answers the model's examples wrong: {'; '.join(wrong)}."
        raise ProofFailed(answered, answered_wrong=True)
    return len(manifest.examples)


def _disagreement(edge: PublicEndpoint, example: Example) -> str | None:
    return example.disagreement(score(edge, example.input).best)


def _asked(edge: PublicEndpoint, method: str, path: str, json: Any = None) -> Reply:
    with connection(edge) as one:
        return one.ask(method, path, json)


def _right(reply: Reply) -> httpx.Response:
    answer = reply.answer
    if not answer.is_success:
        raise _wrong(answer, f"answered {answer.status_code}: {answer.text[:200]!r}")
    return answer


def _pod(answer: httpx.Response) -> str:
    """The replica that answered, by its header; "" where there is none."""
    return str(answer.headers.get(SERVED_BY, ""))[:LONGEST_NAME]


def _malformed(answer: httpx.Response, wrong: str) -> ProofFailed:
    return _wrong(answer, f"does not answer as it must: {wrong[:LONGEST_REASON]} in {answer.text[:200]!r}")


def _wrong(answer: httpx.Response, what: str) -> ProofFailed:
    """The error of the replica that the header names, else of what stands between replicas and users."""
    asked = answer.request.headers["Host"]
    where = f"{answer.url.copy_with(netloc=asked.encode())}"
    if pod := _pod(answer):
        return ProofFailed(f"{pod} at {where} {what}.", pod=pod)
    return ProofFailed(
        f"{where} {what}, without a replica's name in {SERVED_BY}.",
        BETWEEN.get(answer.status_code, LOOK_BETWEEN),
        fault="infrastructure",
    )
