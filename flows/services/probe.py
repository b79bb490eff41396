"""Asking the app from outside, over a connection of its own each time, the way a user's client does."""

from dataclasses import dataclass
from typing import Any

import httpx

from flows.core.errors import ProofFailed
from flows.core.manifest import Example, Manifest

SERVED_BY = "X-Served-By"
TIMEOUT = httpx.Timeout(10, connect=3)


@dataclass(frozen=True)
class Version:
    """What one replica says of itself."""

    pod: str
    capsule: str
    commit: str
    model: str
    model_digest: str


def is_ready(url: str) -> bool:
    """Whether /readyz says yes; False also where nobody answers."""
    try:
        return httpx.get(f"{url}/readyz", timeout=TIMEOUT).is_success
    except httpx.TransportError:
        return False


def version(url: str) -> Version:
    """What whoever answers at /version is; `ProofFailed` where nobody does, or not as it must."""
    answer = _asked("GET", f"{url}/version")
    try:
        said = answer.json()
        return Version(
            pod=answer.headers[SERVED_BY],
            capsule=said["capsule"],
            commit=said["commit"],
            model=f"{said['model']['name']} {said['model']['version']}",
            model_digest=said["model"]["digest"],
        )
    except (KeyError, ValueError) as error:
        raise _malformed(answer, error) from None


def score(url: str, picture: str) -> list[tuple[str, float]]:
    """The answer to one picture (base64): label and percent, best first."""
    answer = _asked("POST", f"{url}/score", json={"input": [picture]})
    try:
        return [(str(label), float(percent)) for label, percent in answer.json()["result"][0]]
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise _malformed(answer, error) from None


def check_examples(url: str, manifest: Manifest) -> int:
    """How many of the model's examples were answered, all within tolerance; else `ProofFailed`."""
    wrong = [told for example in manifest.examples if (told := _disagreement(url, example))]
    if wrong:
        raise ProofFailed(f"{url} answers the model's examples wrong: {'; '.join(wrong)}.")
    return len(manifest.examples)


def _disagreement(url: str, example: Example) -> str | None:
    return example.disagreement(score(url, example.input))


def _asked(method: str, url: str, json: Any = None) -> httpx.Response:
    try:
        answer = httpx.request(method, url, json=json, timeout=TIMEOUT)
    except httpx.TransportError as error:
        raise ProofFailed(f"{url} can't be reached: {error}.") from None
    if not answer.is_success:
        raise ProofFailed(f"{url} answered {answer.status_code}: {answer.text[:200]}")
    return answer


def _malformed(answer: httpx.Response, error: Exception) -> ProofFailed:
    return ProofFailed(f"{answer.url} does not answer as it must: {error!r} in {answer.text[:200]!r}.")
