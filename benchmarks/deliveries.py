"""Deliveries as GitHub makes them, one by one, in a burst, and as fast as they are answered."""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from benchmarks.line import URL, Line
from tests.triggers.conftest import github_push, signed

SENDERS = 32
"""Of a burst."""

RATE_SENDERS = 16
BURST, SECONDS = 200, 5.0


@dataclass(frozen=True)
class Answer:
    """To one delivery: `seconds` from the request until all of it was there."""

    status: int
    run: str
    seconds: float
    sent: float
    """time.time() of the request."""


@dataclass(frozen=True)
class Sender:
    """A provider."""

    line: Line
    http: httpx.Client

    def deliver(self, sha: str, before: str, event: str = "push") -> Answer:
        body = github_push(sha, before=before, repository={"clone_url": URL})
        headers = signed(body, event, self.line.secret)
        sent, began = time.time(), time.perf_counter()
        answer = self.http.post("/hooks/github", content=body, headers=headers)
        seconds = time.perf_counter() - began
        return Answer(answer.status_code, answer.json().get("run_id", ""), seconds, sent)

    def burst(self, commits: Sequence[tuple[str, str]]) -> list[Answer]:
        """`BURST` deliveries for these commits (each with the one before it), spread over `SECONDS`."""
        wanted = [*commits] * (BURST // len(commits))
        random.shuffle(wanted)
        began = time.monotonic()

        def send(number: int) -> Answer:
            due = began + number * SECONDS / BURST
            time.sleep(max(due - time.monotonic(), 0))
            return self.deliver(*wanted[number])

        with ThreadPoolExecutor(SENDERS) as senders:
            return list(senders.map(send, range(BURST)))

    def rate(self, deliver: Callable[[], Answer], status: int) -> float:
        """Answers a second, all with that status, to `RATE_SENDERS` for `SECONDS`."""
        until = time.monotonic() + SECONDS

        def send(_: int) -> int:
            answered = 0
            while time.monotonic() < until:
                if (answer := deliver()).status != status:
                    raise SystemExit(f"A delivery was answered {answer.status}, not {status}.")
                answered += 1
            return answered

        with ThreadPoolExecutor(RATE_SENDERS) as senders:
            return sum(senders.map(send, range(RATE_SENDERS))) / SECONDS


def sender(line: Line) -> Sender:
    limits = httpx.Limits(max_connections=SENDERS)
    return Sender(line, httpx.Client(base_url=line.hooks_url, timeout=30, trust_env=False, limits=limits))
