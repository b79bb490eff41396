"""Proving a release the way its users would see it: through the public URL, over fresh connections."""

import time
from dataclasses import dataclass

from flows.core.errors import ProofFailed
from flows.core.manifest import Manifest
from flows.services import probe
from flows.services.command import Say

DEADLINE = 30
"""Seconds for every replica to have answered; a few requests a replica take far less."""

PAUSE = 0.2
"""Seconds until whoever did not answer is asked again."""

IN_A_ROW = 3
"""Right answers in a row, for each replica, after the last one from an old replica."""


@dataclass(frozen=True)
class Proof:
    """What was seen: requests until every replica had answered, and the model's examples answered."""

    requests: int
    examples: int


def prove(url: str, pods: tuple[str, ...], capsule: str, manifest: Manifest, say: Say) -> Proof:
    """Ask until every pod has answered with this capsule and no other one answers any more.

    `ProofFailed` names the pods that never answered, or who answered wrong.
    """
    requests = _every_replica(url, set(pods), capsule)
    say(f"All {len(pods)} replicas answered at {url} with capsule {capsule[:12]}, in {requests} requests.")
    examples = probe.check_examples(url, manifest)
    say(f"The model's {examples} examples were answered within their tolerance.")
    return Proof(requests, examples)


def _every_replica(url: str, pods: set[str], capsule: str) -> int:
    deadline = time.monotonic() + DEADLINE
    seen: set[str] = set()
    requests = right = 0
    wrong = ""
    while right < IN_A_ROW * len(pods) or not pods <= seen:
        if time.monotonic() > deadline:
            raise ProofFailed(_told(url, pods - seen, wrong))
        requests += 1
        try:
            answer = probe.version(url)
        except ProofFailed as failure:
            wrong, right = str(failure), 0
            time.sleep(PAUSE)
            continue
        if answer.capsule == capsule and answer.pod in pods:
            seen.add(answer.pod)
            right += 1
        else:
            wrong, right = f"{answer.pod} answered with capsule {answer.capsule[:12]}", 0
    return requests


def _told(url: str, missing: set[str], wrong: str) -> str:
    silent = f"{', '.join(sorted(missing))} never answered" if missing else "other replicas answer too"
    return f"After {DEADLINE} s at {url}, {silent}. {wrong}".strip()
