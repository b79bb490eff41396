"""Which replicas have answered which questions, where the load balancer chooses the replica.

An answer of a replica that had not answered the question before is a new pair. A load balancer that chooses
by connection (layer 4) leads all questions over one connection to one replica: N replicas need about
N·(1 + 1/2 + … + 1/N) connections, and each question once. One that chooses by request (layer 7) needs as many
requests for each question. No fixed time fits every number of replicas and every latency, so the asking ends
when a new pair should have come by now.
"""

import math
from dataclasses import dataclass, field

FAIR_SHARE = 1 / 3
"""The least part of its even share of the choices that a replica gets: nodes get the same, however many
replicas each of them has."""

GIVEN_UP_WRONGLY = 0.001
"""Probability that the asking ends too early although each replica gets `FAIR_SHARE` of its even share."""


def enough(replicas: int, questions: int) -> int:
    """Choices of the load balancer without a new pair after which none is to be expected any more."""
    missed = 1 - FAIR_SHARE / max(replicas, 1)
    return math.ceil(math.log(GIVEN_UP_WRONGLY / max(questions, 1)) / math.log(missed))


@dataclass
class Coverage:
    """What was answered so far; `questions` are numbered from 0, times are in seconds.

    It is stalled if no answer came for `patience`; or if for `patience` no new pair came, and the load
    balancer has chosen a replica often enough since the last. An answer of a replica that is not one of
    `replicas` makes no pair.
    """

    replicas: frozenset[str]
    questions: int
    patience: float
    began: float
    met: set[str] = field(default_factory=set)
    answers: int = 0
    choices: int = 0
    _at: str = ""
    _kept: int = 0
    _lost: int = 0
    _lacking: list[set[str]] = field(init=False)
    _answered_at: float = field(init=False)
    _new_at: float = field(init=False)
    _idle: int = 0

    def __post_init__(self) -> None:
        self._lacking = [set(self.replicas) for _ in range(self.questions)]
        self._answered_at = self._new_at = self.began

    @property
    def keeps_connection(self) -> bool:
        """Whether the next question goes over the connection of the last answer, to the replica there."""
        return bool(self._at)

    @property
    def wanted(self) -> int:
        """The question that most replicas still lack; over a kept connection, among those that its replica
        lacks."""
        lacked = [q for q in range(self.questions) if not self._at or self._at in self._lacking[q]]
        return max(lacked, key=lambda question: len(self._lacking[question]))

    @property
    def is_complete(self) -> bool:
        """Whether each replica has answered each question."""
        return not any(self._lacking)

    def lacking(self, question: int) -> list[str]:
        """The replicas that have not answered it."""
        return sorted(self._lacking[question])

    def answered(self, replica: str, question: int, now: float, *, over_kept: bool = False) -> None:
        """Take in an answer, and whether it came over the connection of the answer before.

        Its connection is kept as long as the replica lacks a question. It is lost where the server closed it,
        or another replica answered; if that is more frequent, each question has a connection of its own.
        """
        if over_kept and replica == self._at:
            self._kept += 1
        else:
            self.lost_connection()
            self.choices += 1
            self._idle += 1
        self.met.add(replica)
        self.answers += 1
        self._answered_at = now
        if replica in self._lacking[question]:
            self._lacking[question].remove(replica)
            self._new_at, self._idle = now, 0
        lacks = any(replica in lacking for lacking in self._lacking)
        self._at = replica if lacks and self._lost <= self._kept else ""

    def lost_connection(self) -> None:
        """Take in that the kept connection, if any, no longer leads to its replica."""
        self._lost += bool(self._at)
        self._at = ""

    def is_stalled(self, now: float) -> bool:
        """Whether further questions are of no use."""
        if now - self._answered_at > self.patience:
            return True
        limit = enough(len(self.replicas | self.met), self.questions)  # others take their share
        return self._idle >= limit and now - self._new_at > self.patience

    @property
    def only_one(self) -> str:
        """The replica that gave all answers, where there are others and enough choices to tell; else ""."""
        sure = self.choices >= enough(2, 1) and len(self.replicas) > 1 and len(self.met) == 1
        return next(iter(self.met)) if sure else ""
