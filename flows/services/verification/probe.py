"""Asking the app from outside, over a connection of its own each time, the way a user's client does.

What goes wrong is a `ProofFailed`: its `pod` is the replica that answered wrong, "" where none answered.
"""

import random
import time
from dataclasses import dataclass
from typing import Any

import httpx

from flows.core.errors import EdgeNotInOrder, ProofFailed, ResolverUnavailable
from flows.core.model.manifest import Example, ModelManifest
from flows.services.verification import tls
from flows.services.verification.public_endpoint import CONNECT, PublicEndpoint

SERVED_BY = "X-Served-By"
TIMEOUT = httpx.Timeout(10, connect=CONNECT)
ONE_EACH = httpx.Limits(max_keepalive_connections=0)


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
    """What one replica makes of a picture: label and percent, best first, after so many milliseconds."""

    pod: str
    best: list[tuple[str, float]]
    milliseconds: float


def is_ready(edge: PublicEndpoint) -> bool:
    """Whether /readyz says yes; False also without an answer."""
    try:
        return _sent(edge, "GET", "/readyz").is_success
    except ProofFailed:
        return False


def version(edge: PublicEndpoint) -> Version:
    """The identity of the replica that answers at /version."""
    answer = _answered(edge, "GET", "/version")
    try:
        said = answer.json()
        return Version(
            pod=answer.headers[SERVED_BY],
            capsule=said["capsule"],
            commit=said["commit"],
            model=f"{said['model']['name']} {said['model']['version']}",
            model_digest=said["model"]["digest"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise _malformed(answer, error) from error


def score(edge: PublicEndpoint, picture: str) -> Answer:
    """The answer to one picture (base64); its time is from the connection to the whole answer."""
    started = time.perf_counter()
    answer = _answered(edge, "POST", "/score", json={"input": [picture]})
    took = (time.perf_counter() - started) * 1000
    try:
        best = [(str(label), float(percent)) for label, percent in answer.json()["result"][0]]
        return Answer(answer.headers.get(SERVED_BY, ""), best, took)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise _malformed(answer, error) from error


def check_examples(edge: PublicEndpoint, manifest: ModelManifest) -> int:
    """How many of the model's examples were answered, all within tolerance."""
    wrong = [difference for example in manifest.examples if (difference := _disagreement(edge, example))]
    if wrong:
        raise ProofFailed(f"{edge.url} answers the model's examples wrong: {'; '.join(wrong)}.")
    return len(manifest.examples)


def _disagreement(edge: PublicEndpoint, example: Example) -> str | None:
    return example.disagreement(score(edge, example.input).best)


def _answered(edge: PublicEndpoint, method: str, path: str, json: Any = None) -> httpx.Response:
    answer = _sent(edge, method, path, json)
    if not answer.is_success:
        pod = answer.headers.get(SERVED_BY, "")
        nobody_behind = not pod and answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        who = f"{pod} at {edge.url}{path}" if pod else f"{edge.url}{path}"
        raise ProofFailed(
            f"{who} answered {answer.status_code}: {answer.text[:200]!r}.",
            fault="infrastructure" if nobody_behind else "image",
            pod=pod,
        )
    return answer


def _sent(edge: PublicEndpoint, method: str, path: str, json: Any = None) -> httpx.Response:
    """Asks at the addresses that the name leads to, in any order, until one accepts a connection."""
    try:
        addresses = edge.resolve()
    except (EdgeNotInOrder, ResolverUnavailable) as error:
        raise ProofFailed(error.happened, fault="infrastructure") from error
    refused = ""
    for address in random.sample(addresses, len(addresses)):
        try:
            return _sent_to(address, edge, method, path, json)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            refused = str(error) or f"no connection within {CONNECT:g} s"
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise ProofFailed(f"{edge.url}{path} broke off: {reason}.", fault="image") from error
    raise ProofFailed(f"{edge.url} can't be reached: {refused}.", fault="infrastructure")


def _sent_to(address: str, edge: PublicEndpoint, method: str, path: str, json: Any) -> httpx.Response:
    url = httpx.URL(edge.url).copy_with(host=address, path=path)
    host = httpx.URL(edge.url).netloc.decode()
    with httpx.Client(verify=tls.trusting(), trust_env=False, timeout=TIMEOUT, limits=ONE_EACH) as client:
        return client.request(
            method, url, json=json, headers={"Host": host}, extensions={"sni_hostname": edge.host}
        )


def _malformed(answer: httpx.Response, error: Exception) -> ProofFailed:
    return ProofFailed(
        f"{answer.url} does not answer as it must: {error!r} in {answer.text[:200]!r}.",
        pod=answer.headers.get(SERVED_BY, ""),
    )
