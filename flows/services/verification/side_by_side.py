"""Asking two containers the same examples, one request at a time, in turn.

Who is asked first is decided by a coin for each example, so that neither side has the warmer caches of the
machine more often.
"""

import base64
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flows.core.duel.comparison import Pair, Reply
from flows.core.duel.golden_set import GoldenExample
from flows.core.errors import ProofFailed
from flows.services.verification import probe
from flows.services.verification.connection import PATIENCE, Connection, ConnectionClosed, connection
from flows.services.verification.public_endpoint import PublicEndpoint

WARM_UP = 5
"""Examples that both sides are asked before their answers count."""

SILENT = 3
"""Answers in a row that one side alone fails to give, after which it is asked no more."""

Side = Literal["candidate", "live"]


@dataclass(frozen=True)
class Question:
    """An example, its right label, and how to read its input."""

    example: GoldenExample
    label: str
    read: Callable[[GoldenExample], bytes]


@dataclass(frozen=True)
class Asked:
    """The answers so far. `silent` is the side that stopped answering, if one did; `why` is its failure."""

    pairs: tuple[Pair, ...]
    silent: Side | None = None
    why: str = ""


def ask_both(
    candidate: PublicEndpoint,
    live: PublicEndpoint,
    questions: Sequence[Question],
    *,
    seconds: float,
    chance: random.Random,
    patience: float = PATIENCE,
) -> Asked:
    """The answers of both to the examples, in a random order, as far as they come within so many seconds.

    An answer that is wrong in form, is no finite number, or does not come within `patience` seconds, is a
    `Reply` with a failure. The asking ends early where one side alone fails `SILENT` times in a row.
    """
    order = chance.sample(list(questions), len(questions))
    ends = time.monotonic() + seconds
    with connection(candidate, patience) as to_candidate, connection(live, patience) as to_live:
        asking = _Asking(
            {"candidate": _Respondent(candidate, to_candidate), "live": _Respondent(live, to_live)}, chance
        )
        for question in order[:WARM_UP]:
            asking.ask(question)
            if asking.silent:
                break
        pairs: list[Pair] = []
        for question in order:
            if asking.silent or time.monotonic() > ends:
                break
            replies = asking.ask(question)
            pairs.append(Pair(question.example, question.label, replies["candidate"], replies["live"]))
    return Asked(tuple(pairs), asking.silent, asking.why)


@dataclass(frozen=True)
class _Respondent:
    edge: PublicEndpoint
    over: Connection

    def reply(self, picture: str) -> Reply:
        """The reply; a connection that the server has closed meanwhile is opened again, once."""
        try:
            try:
                answer = probe.score(self.edge, picture, self.over)
            except ConnectionClosed:
                answer = probe.score(self.edge, picture, self.over)
        except ProofFailed as failure:
            return Reply(failure=failure.happened)
        return Reply(tuple(answer.best), answer.milliseconds)


@dataclass
class _Asking:
    sides: dict[Side, _Respondent]
    chance: random.Random
    in_a_row: dict[Side, int] = field(default_factory=lambda: {"candidate": 0, "live": 0})
    silent: Side | None = None
    why: str = ""

    def ask(self, question: Question) -> dict[Side, Reply]:
        """The replies of both sides to one example."""
        picture = base64.b64encode(question.read(question.example)).decode()
        order: list[Side] = ["candidate", "live"]
        self.chance.shuffle(order)
        replies = {side: self.sides[side].reply(picture) for side in order}
        failed = [side for side in order if replies[side].failure]
        for side in order:
            self.in_a_row[side] = self.in_a_row[side] + 1 if failed == [side] else 0
            if self.in_a_row[side] == SILENT:
                self.silent, self.why = side, replies[side].failure
        return replies
